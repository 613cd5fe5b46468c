/* SPDX-License-Identifier: Apache-2.0 */
/* A network that looks like a sandbox's at its start: loopback, which is up. */
#ifndef TESTS_NETWORK_H
#define TESTS_NETWORK_H

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* False: there is no right to one (in the sandbox none is needed). */
static inline int
own_network(void)
{
	struct ifreq r = {.ifr_name = "lo"};
	int s;

	if (unshare(CLONE_NEWNET) < 0)
		return 0;
	s = socket(AF_INET, SOCK_DGRAM, 0);
	r.ifr_flags = IFF_UP;
	ioctl(s, SIOCSIFFLAGS, &r);
	close(s);
	return 1;
}

#endif
