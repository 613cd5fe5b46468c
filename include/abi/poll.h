/* SPDX-License-Identifier: Apache-2.0 */
/* Readiness events: poll(2), epoll(7), and what wait queues are told. */
#ifndef ABI_POLL_H
#define ABI_POLL_H

#include "abi/types.h"

#define LX_POLLIN     0x0001u
#define LX_POLLPRI    0x0002u
#define LX_POLLOUT    0x0004u
#define LX_POLLERR    0x0008u
#define LX_POLLHUP    0x0010u
#define LX_POLLNVAL   0x0020u
#define LX_POLLRDNORM 0x0040u
#define LX_POLLRDBAND 0x0080u
#define LX_POLLWRNORM 0x0100u
#define LX_POLLWRBAND 0x0200u
#define LX_POLLMSG    0x0400u
#define LX_POLLREMOVE 0x1000u
#define LX_POLLRDHUP  0x2000u

struct lx_pollfd {
	int32_t fd;
	int16_t events;
	int16_t revents;
};

#endif
