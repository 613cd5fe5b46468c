/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings of AF_PACKET sockets. Frames are filled one after the other; a frame's first word says
 * whose it is: 0 ours, else the guest's, who writes 0 when it has read it. Nothing else is read
 * from the memory. Linux counterpart: net/packet/af_packet.c, versions 1 and 2.
 */
#include "ring.h"
#include "abi/types.h"
#include "base/list.h"
#include "base/ref.h"
#include "platform/host/engine.h"
#include "platform/host/file.h"
#include "sentry/mm/mappable.h"
#include "sentry/vfs/file.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 16u /* TPACKET_ALIGNMENT */
#define RING_MAX  (256ull << 20)

enum {
	STATUS_USER = 1,
	STATUS_LOSING = 4,
	STATUS_CSUM_NOT_READY = 8,
};

struct tpacket_hdr {
	uint64_t status;
	uint32_t len, snaplen;
	uint16_t mac, net;
	uint32_t sec, usec;
};

struct tpacket2_hdr {
	uint32_t status, len, snaplen;
	uint16_t mac, net;
	uint32_t sec, nsec;
	uint16_t vlan_tci, vlan_tpid;
	uint8_t padding[4];
};
_Static_assert(sizeof(struct tpacket_hdr) <= TPACKET_HEADER, "the header's room");
_Static_assert(sizeof(struct tpacket2_hdr) == TPACKET_HEADER, "the header's room");

struct packet_ring {
	struct ref ref;
	_Atomic uint32_t mapped;
	enum packet_version version;
	uint32_t reserve;
	struct tpacket_req req;
	uint32_t per_block;
	uint32_t head; /* the next frame to fill */
	int fd;
	uint8_t *mem;
	uint64_t size;
};

static uint32_t
align(uint32_t n)
{
	return (n + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
}

static int
check(const struct tpacket_req *q, uint32_t reserve)
{
	uint64_t least = (uint64_t)TPACKET_HEADER + sizeof(struct sockaddr_ll) + reserve;
	uint32_t per_block;

	if ((int32_t)q->block_size <= 0 || q->block_size & (LX_PAGE_SIZE - 1) ||
		q->frame_size < least || q->frame_size & (ALIGNMENT - 1))
		return -EINVAL;
	per_block = q->block_size / q->frame_size;
	if (!per_block || per_block > UINT32_MAX / q->block_nr ||
		per_block * q->block_nr != q->frame_nr)
		return -EINVAL;
	return (uint64_t)q->block_size * q->block_nr > RING_MAX ? -ENOMEM : 0;
}

int
packet_ring_new(enum packet_version version, uint32_t reserve, const struct tpacket_req *req,
	struct packet_ring **ret)
{
	int err = check(req, reserve);
	struct packet_ring *r;

	if (err)
		return err;
	r = calloc(1, sizeof *r);
	if (!r)
		return -ENOMEM;
	ref_init(&r->ref);
	r->version = version;
	r->reserve = reserve;
	r->req = *req;
	r->per_block = req->block_size / req->frame_size;
	r->size = (uint64_t)req->block_size * req->block_nr;
	r->fd = host_memfd_sealed("moat-packets", r->size);
	r->mem = r->fd < 0 ? NULL : host_map_shared(r->fd, 0, r->size, &err);
	if (!r->mem) {
		packet_ring_put(r);
		return -ENOMEM;
	}
	*ret = r;
	return 0;
}

void
packet_ring_put(struct packet_ring *r)
{
	if (!r || !ref_put(&r->ref))
		return;
	if (r->mem)
		host_unmap(r->mem, r->size);
	host_close(r->fd);
	free(r);
}

bool
packet_ring_is_mapped(const struct packet_ring *r)
{
	return atomic_load(&r->mapped) != 0;
}

static uint8_t *
frame_at(const struct packet_ring *r, uint32_t i)
{
	return r->mem + (uint64_t)(i / r->per_block) * r->req.block_size +
	       (uint64_t)(i % r->per_block) * r->req.frame_size;
}

static uint64_t
status(const struct packet_ring *r, const uint8_t *frame)
{
	return r->version == TPACKET_V1
		       ? __atomic_load_n((const uint64_t *)frame, __ATOMIC_ACQUIRE)
		       : __atomic_load_n((const uint32_t *)frame, __ATOMIC_ACQUIRE);
}

static void
set_status(const struct packet_ring *r, uint8_t *frame, uint32_t v)
{
	if (r->version == TPACKET_V1)
		__atomic_store_n((uint64_t *)frame, v, __ATOMIC_RELEASE);
	else
		__atomic_store_n((uint32_t *)frame, v, __ATOMIC_RELEASE);
}

static void
put_header(const struct packet_ring *r, uint8_t *frame, const struct ring_packet *p, uint32_t snap,
	uint32_t mac, uint32_t net)
{
	const uint32_t sec = (uint32_t)(p->stamp_ns / 1000000000),
		       nsec = (uint32_t)(p->stamp_ns % 1000000000);

	if (r->version == TPACKET_V1) {
		struct tpacket_hdr h = {
			0, p->whole, snap, (uint16_t)mac, (uint16_t)net, sec, nsec / 1000};

		memcpy(frame + sizeof h.status, (uint8_t *)&h + sizeof h.status,
			sizeof h - sizeof h.status);
	} else {
		struct tpacket2_hdr h = {
			0, p->whole, snap, (uint16_t)mac, (uint16_t)net, sec, nsec, 0, 0, {0}};

		memcpy(frame + sizeof h.status, (uint8_t *)&h + sizeof h.status,
			sizeof h - sizeof h.status);
	}
	memcpy(frame + TPACKET_HEADER, &p->from, sizeof p->from);
}

bool
packet_ring_add(struct packet_ring *r, const struct ring_packet *p)
{
	const uint32_t header = TPACKET_HEADER + sizeof p->from;
	uint32_t mac, net, snap = p->got;
	uint8_t *frame = frame_at(r, r->head);

	if (p->header) {
		net = align(header + (p->header < 16 ? 16 : p->header)) + r->reserve;
		mac = net - p->header;
	} else {
		net = mac = align(header) + 16 + r->reserve;
	}
	if (net > UINT16_MAX || status(r, frame))
		return false;
	if (mac > r->req.frame_size)
		snap = 0;
	else if (snap > r->req.frame_size - mac)
		snap = r->req.frame_size - mac;
	put_header(r, frame, p, snap, mac, net);
	if (snap)
		memcpy(frame + mac, p->data, snap);
	set_status(r, frame, STATUS_USER | STATUS_CSUM_NOT_READY | (p->losing ? STATUS_LOSING : 0));
	r->head = r->head + 1 == r->req.frame_nr ? 0 : r->head + 1;
	return true;
}

/* The newest frame is still to be read. */
bool
packet_ring_ready(const struct packet_ring *r)
{
	return status(r, frame_at(r, (r->head ? r->head : r->req.frame_nr) - 1)) != 0;
}

/* --- what the guest maps --- */

struct ring_map {
	struct mappable m;
	struct packet_ring *r; /* a reference */
};

static int
map_fd(struct mappable *m, int prot, bool shared)
{
	(void)prot, (void)shared;
	return container_of(m, struct ring_map, m)->r->fd;
}

static void
map_release(struct mappable *m)
{
	struct ring_map *k = container_of(m, struct ring_map, m);

	atomic_fetch_sub(&k->r->mapped, 1);
	packet_ring_put(k->r);
	file_put(m->file);
	free(k);
}

static int64_t
map_place(struct mappable *m, uint64_t off, uint64_t len)
{
	return off == 0 && len == container_of(m, struct ring_map, m)->r->size ? 0 : -EINVAL;
}

static const struct mappable_ops map_ops = {
	.host_fd = map_fd, .place = map_place, .release = map_release};

int
packet_ring_mappable(struct packet_ring *r, struct file *f, bool shared, struct mappable **ret)
{
	struct ring_map *k;

	if (!shared)
		return -EINVAL;
	k = calloc(1, sizeof *k);
	if (!k)
		return -ENOMEM;
	ref_init(&k->m.ref);
	k->m.ops = &map_ops;
	k->m.file = file_get(f);
	k->m.memory = r;
	ref_get(&r->ref);
	k->r = r;
	atomic_fetch_add(&r->mapped, 1);
	*ret = &k->m;
	return 0;
}
