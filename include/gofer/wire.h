/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire between sentry, gofer and launcher: packets on a SOCK_SEQPACKET unix socket, a fixed
 * head and a protobuf body, descriptors beside it. Requests carry an id that their reply repeats,
 * so that many can be in flight. Whatever arrives is checked for form here; what it says is checked
 * by whoever acts on it.
 */
#ifndef GOFER_WIRE_H
#define GOFER_WIRE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WIRE_BODY_MAX 65536u /* bytes of one packet's body */
#define WIRE_FDS_MAX  64u

enum wire_gofer_type {
	WIRE_GOFER_NONE,
#define GOFER(name, ...)   GOFER_##name,
#define VIRTUAL(name, ...) GOFER_##name,
#include "gofer/proto/messages.def"
#undef GOFER
#undef VIRTUAL
	WIRE_GOFER_COUNT
};

enum wire_control_type {
	WIRE_CONTROL_FIRST = 1000,
#define CONTROL(name, who) CONTROL_##name,
#include "gofer/proto/control.def"
#undef CONTROL
};

/* Native byte order: both ends are one machine. */
struct wire_head {
	uint64_t id;
	uint32_t len;  /* bytes of body that follow */
	int32_t error; /* replies: 0 or -errno */
	uint16_t type;
	uint16_t more; /* 1: the body goes on in the next packet (control messages only) */
	uint32_t zero;
};

struct wire_packet {
	struct wire_head head;
	uint32_t nfds;
	int fds[WIRE_FDS_MAX]; /* close-on-exec; the receiver's */
	bool fds_lost; /* there were more, for which the receiver had no room: none are here */
	uint8_t body[WIRE_BODY_MAX];
};

/* A connected pair, close-on-exec, with room for several full packets each way. -errno. */
int wire_pair(int sv[2]);

/* For wire_recv: what comes with the packet is not taken in. */
#define WIRE_NO_FDS 0x08000000

/* One packet. -EMSGSIZE: the body is too large; -EAGAIN: no room now (MSG_DONTWAIT in flags);
 * -EPIPE. fds stay the caller's. */
int wire_send(int sock, const struct wire_head *h, const void *body, size_t len, const int *fds,
	uint32_t nfds, int flags);
/* One packet with msg (may be NULL) as its body. */
int wire_send_msg(int sock, uint16_t type, uint64_t id, int32_t error, const ProtobufCMessage *msg,
	const int *fds, uint32_t nfds, int flags);

/* 1: a packet in *p; 0: the peer is gone; -EPROTO: malformed (its fds are closed); -EAGAIN and
 * others. flags: MSG_DONTWAIT or 0, WIRE_NO_FDS. */
int wire_recv(int sock, struct wire_packet *p, int flags);
void wire_close_fds(struct wire_packet *p, uint32_t from); /* those not taken, from index on */

/* Control messages of up to WIRE_CONTROL_MAX bytes, in as many packets as that takes. Blocking. */
#define WIRE_CONTROL_MAX (16u << 20)
int wire_control_send(
	int sock, uint16_t type, const ProtobufCMessage *msg, const int *fds, uint32_t nfds);

struct wire_control {
	uint16_t type;
	uint8_t *body; /* malloc'd, may be NULL when len is 0 */
	size_t len;
	uint32_t nfds;
	int fds[WIRE_FDS_MAX];
};

int wire_control_recv(int sock, struct wire_control *c); /* as wire_recv; -E2BIG, -EMFILE */
void wire_control_free(struct wire_control *c);		 /* fds that are not -1 are closed */

/* Unpack a body. NULL: malformed. Free with protobuf_c_message_free_unpacked. */
void *wire_unpack(const ProtobufCMessageDescriptor *d, const void *body, size_t len);

/* A name that may stand in a directory: 1..255 bytes, no '/', no NUL, not "." or "..". */
bool wire_name_ok(const ProtobufCBinaryData *b);
/* The same as a string. -EINVAL. */
struct wire_name {
	char s[256];
};
int wire_name_get(const ProtobufCBinaryData *b, struct wire_name *ret);

static inline ProtobufCBinaryData
wire_bytes(const void *p, size_t len)
{
	return (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)p};
}

/* Bits that messages use instead of the host's or the guest's. */
enum wire_access {
	WIRE_READ = 1,
	WIRE_WRITE = 2,
	WIRE_TRUNC = 4,
	WIRE_APPEND = 8,
};

enum wire_setattr {
	WIRE_SET_MODE = 1,
	WIRE_SET_UID = 2,
	WIRE_SET_GID = 4,
	WIRE_SET_SIZE = 8,
	WIRE_SET_ATIME = 16,
	WIRE_SET_MTIME = 32,
	WIRE_SET_ATIME_NOW = 64,
	WIRE_SET_MTIME_NOW = 128,
	WIRE_SET_ALL = 255,
};

enum wire_acls { /* POSIX ACLs that a file has */
	WIRE_ACLS_KNOWN = 1,
	WIRE_ACLS_ACCESS = 2,
	WIRE_ACLS_DEFAULT = 4,
};

#define WIRE_RENAME_NOREPLACE 1u
#define WIRE_RENAME_EXCHANGE  2u
#define WIRE_WALK_MAX	      16u
#define WIRE_LOOKUPS_MAX      64u    /* names of one request; at most WIRE_FDS_MAX */
#define WIRE_ALSO_MAX	      64u    /* directories to list beside the one of a request */
#define WIRE_LISTS_MAX	      128u   /* listings in one reply, beside the first */
#define WIRE_IO_MAX	      61440u /* bytes of a file in one message */
#define WIRE_MEMORY_MAX	      8u
#define WIRE_XATTR_MAX	      65000u /* value bytes; Linux allows 65536 */

#endif
