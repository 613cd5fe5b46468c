/* SPDX-License-Identifier: Apache-2.0 */
/* /sys/class/net and what it leads to: a directory for each interface of the network namespace that
 * the file system was mounted in. */
#include "abi/dirent.h"
#include "abi/stat.h"
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include "sentry/net/link.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum what {
	ADDRESS,
	BROADCAST,
	ADDR_LEN,
	MTU,
	FLAGS,
	IFINDEX,
	IFLINK,
	TYPE,
	TX_QUEUE_LEN,
	OPERSTATE,
	CARRIER,
	DEV_ID,
	TUN_FLAGS,
	TUN_OWNER,
	TUN_GROUP,
	STATISTICS, /* and the number of the counter */
};

/* The link of a node: its index is the key of the directory above. */
static int
link_of(const struct pseudo_ctx *x, struct net_link *l)
{
	return net_link_find(x->inode->sb->priv, (int32_t)x->key, NULL, l);
}

static void
put_mac(struct sbuf *b, const uint8_t *p, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		sbuf_printf(b, "%s%02x", i ? ":" : "", p[i]);
	sbuf_puts(b, "\n");
}

static int
show_link(const struct pseudo_ctx *x, struct sbuf *b)
{
	/* RFC 2863's ifOperStatus, as Linux names it. */
	static const char *const states[] = {
		"unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"};
	struct net_link l;
	uint32_t id;
	int r = link_of(x, &l);

	if (r < 0)
		return r;
	switch (x->row->arg) {
	case ADDRESS:
		put_mac(b, l.hwaddr, l.hwaddr_len);
		break;
	case BROADCAST:
		put_mac(b, l.broadcast, l.hwaddr_len);
		break;
	case ADDR_LEN:
		sbuf_printf(b, "%u\n", l.hwaddr_len);
		break;
	case MTU:
		sbuf_printf(b, "%u\n", l.mtu);
		break;
	case FLAGS:
		/* Without what is derived: RUNNING, LOWER_UP and their kind. */
		sbuf_printf(b, "0x%x\n", l.flags & 0xffbf);
		break;
	case IFINDEX:
		sbuf_printf(b, "%d\n", l.index);
		break;
	case IFLINK:
		sbuf_printf(b, "%u\n", l.iflink);
		break;
	case TYPE:
		sbuf_printf(b, "%u\n", l.type);
		break;
	case TX_QUEUE_LEN:
		sbuf_printf(b, "%u\n", l.txqlen);
		break;
	case OPERSTATE:
		sbuf_printf(b, "%s\n", l.operstate < 7 ? states[l.operstate] : "unknown");
		break;
	case CARRIER:
		if (!(l.flags & LX_IFF_UP))
			return -EINVAL;
		sbuf_printf(b, "%u\n", l.carrier);
		break;
	case TUN_FLAGS:
		sbuf_printf(b, "0x%x\n", l.tun.flags);
		break;
	case TUN_OWNER:
	case TUN_GROUP:
		id = x->row->arg == TUN_OWNER ? l.tun.owner : l.tun.group;
		if (id != UINT32_MAX)
			id = (x->row->arg == TUN_OWNER ? uid_out : gid_out)(
				x->c->cred->user_ns, id);
		sbuf_printf(b, "%d\n", (int32_t)id);
		break;
	case DEV_ID:
		sbuf_puts(b, "0x0\n");
		break;
	default:
		sbuf_printf(b, "%llu\n",
			(unsigned long long)(&l.stats.rx_packets)[x->row->arg - STATISTICS]);
		break;
	}
	return 0;
}

static bool
is_tun(const struct pseudo_ctx *dir)
{
	struct net_link l;

	return link_of(dir, &l) == 0 && l.tun.is;
}

#define LINK(n, w)                                                                                 \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0444, .show = show_link, .arg = (w)              \
	}
#define TUN(n, w)                                                                                  \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0444, .show = show_link, .arg = (w),             \
		.visible = is_tun                                                                  \
	}
#define STAT(n, i) LINK(n, STATISTICS + (i))

static const struct pseudo_row statistics_rows[] = {STAT("rx_packets", 0), STAT("tx_packets", 1),
	STAT("rx_bytes", 2), STAT("tx_bytes", 3), STAT("rx_errors", 4), STAT("tx_errors", 5),
	STAT("rx_dropped", 6), STAT("tx_dropped", 7), STAT("multicast", 8), STAT("collisions", 9),
	STAT("rx_length_errors", 10), STAT("rx_over_errors", 11), STAT("rx_crc_errors", 12),
	STAT("rx_frame_errors", 13), STAT("rx_fifo_errors", 14), STAT("rx_missed_errors", 15),
	STAT("tx_aborted_errors", 16), STAT("tx_carrier_errors", 17), STAT("tx_fifo_errors", 18),
	STAT("tx_heartbeat_errors", 19), STAT("tx_window_errors", 20), STAT("rx_compressed", 21),
	STAT("tx_compressed", 22), STAT("rx_nohandler", 23), {.name = NULL}};

static const struct pseudo_row link_rows[] = {LINK("address", ADDRESS),
	LINK("broadcast", BROADCAST), LINK("addr_len", ADDR_LEN), LINK("mtu", MTU),
	LINK("flags", FLAGS), LINK("ifindex", IFINDEX), LINK("iflink", IFLINK), LINK("type", TYPE),
	LINK("tx_queue_len", TX_QUEUE_LEN), LINK("operstate", OPERSTATE), LINK("carrier", CARRIER),
	LINK("dev_id", DEV_ID), TUN("tun_flags", TUN_FLAGS), TUN("owner", TUN_OWNER),
	TUN("group", TUN_GROUP),
	{.name = "statistics", .mode = LX_S_IFDIR | 0755, .rows = statistics_rows}, {.name = NULL}};

static ssize_t
class_target(const struct pseudo_ctx *x, char *buf, size_t cap)
{
	struct net_link l;
	int r = link_of(x, &l);

	return r < 0 ? r
		     : snprintf(buf, cap, "../../devices/virtual/net/%.*s", (int)sizeof l.name - 1,
			       l.name);
}

static const struct pseudo_row link_row = {.mode = LX_S_IFDIR | 0755, .rows = link_rows};
static const struct pseudo_row class_row = {.mode = LX_S_IFLNK | 0777, .readlink = class_target};

static int
lookup(const struct pseudo_ctx *x, const char *name, struct pseudo_child *ret)
{
	struct net_link l;

	if (net_link_find(x->inode->sb->priv, 0, name, &l) < 0)
		return -ENOENT;
	*ret = (struct pseudo_child){
		.row = x->row->arg ? &class_row : &link_row, .key = (uint64_t)l.index};
	return 0;
}

static bool
next(const struct pseudo_ctx *x, int64_t *pos, char *name, size_t cap, uint8_t *type)
{
	struct net_link l;

	if (!net_link_next(x->inode->sb->priv, *pos, &l))
		return false;
	*pos = l.index;
	snprintf(name, cap, "%s", l.name);
	*type = x->row->arg ? LX_DT_LNK : LX_DT_DIR;
	return true;
}

const struct pseudo_dir sys_net_dir = {.lookup = lookup, .next = next};
