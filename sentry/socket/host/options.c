/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the host's sockets: which of them go there (options.def). */
#include "internal.h"
#include "platform/host/socket.h"
#include <errno.h>

enum {
	C = 1,
	P = 2,
};

struct option {
	int level, opt;
	unsigned flags;
};

static const struct option options[] = {
#define OPTION(level, number, name, flags) {LX_##level, number, flags},
#include "options.def"
#undef OPTION
};

static const struct option *
find(int level, int opt)
{
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (options[i].level == level && options[i].opt == opt)
			return &options[i];
	return NULL;
}

bool
hostsock_has_option(int level, int opt)
{
	return find(level, opt) != NULL;
}

bool
hostsock_passed_has_option(int level, int opt)
{
	const struct option *o = find(level, opt);

	return o && (o->flags & P);
}

int
hostsock_setsockopt(
	struct sock *s, const struct call *c, int level, int opt, const uint8_t *val, uint32_t len)
{
	const struct option *o = find(level, opt);
	int err;

	(void)c;
	if (!o) /* TCP and UDP look at the length first */
		return level == s->protocol && len < 4 ? -EINVAL : -ENOPROTOOPT;
	err = host_socket_setopt(hs(s)->fd, level, opt, val, len);
	if (!err && (o->flags & C))
		atomic_store(&hs(s)->control, true);
	return err;
}

int
hostsock_getsockopt(
	struct sock *s, const struct call *c, int level, int opt, uint8_t *val, uint32_t *len)
{
	(void)c;
	if (find(level, opt))
		return host_socket_getopt(hs(s)->fd, level, opt, val, len);
	/* A level that is none of the socket's. */
	return s->family == LX_AF_INET && level != LX_SOL_IP && level != LX_SOL_SOCKET &&
			       level != s->protocol
		       ? -EOPNOTSUPP
		       : -ENOPROTOOPT;
}
