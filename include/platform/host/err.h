/* SPDX-License-Identifier: Apache-2.0 */
/* Host calls answer 0, a count or -errno: HOST(call) reads errno right where it was set, once. */
#ifndef PLATFORM_HOST_ERR_H
#define PLATFORM_HOST_ERR_H

#include <errno.h>

#define HOST(call)                                                                                 \
	(__extension__({                                                                           \
		__auto_type host_ret_ = (call);                                                    \
		if (host_ret_ < 0)                                                                 \
			host_ret_ = (__typeof__(host_ret_))-errno;                                 \
		host_ret_;                                                                         \
	}))

/* The same, again when a signal cut it short. */
#define HOST_RETRY(call)                                                                           \
	(__extension__({                                                                           \
		__auto_type host_again_ = HOST(call);                                              \
		while (host_again_ == -EINTR)                                                      \
			host_again_ = HOST(call);                                                  \
		host_again_;                                                                       \
	}))

#endif
