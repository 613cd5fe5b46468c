/* SPDX-License-Identifier: Apache-2.0 */
/* TCP's header and options (RFC 9293, 3.1; RFC 7323). */
#include "internal.h"
#include <errno.h>
#include <string.h>

#define SEGMENT_MAX (1u << 20) /* more than any packet holds */

#define OPT_END	      0u
#define OPT_NOP	      1u
#define OPT_MSS	      2u
#define OPT_WSCALE    3u
#define OPT_SACK_OK   4u
#define OPT_TIMESTAMP 8u

static uint32_t
get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t
get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static void
put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void
put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static void
take_option(struct tcp_segment *s, const uint8_t *p, size_t len)
{
	switch (p[0]) {
	case OPT_MSS:
		/* as Linux: one of 0 says nothing */
		if (len == 4 && get16(p + 2)) {
			s->has_mss = true;
			s->mss = (uint16_t)get16(p + 2);
		}
		break;
	case OPT_WSCALE:
		if (len == 3) {
			s->has_wscale = true;
			s->wscale = p[2];
		}
		break;
	case OPT_SACK_OK:
		if (len == 2)
			s->sack_permitted = true;
		break;
	case OPT_TIMESTAMP:
		if (len == 10) {
			s->has_timestamp = true;
			s->tsval = get32(p + 2);
			s->tsecr = get32(p + 6);
		}
		break;
	}
}

/* What is malformed ends the list, as in Linux. */
static void
take_options(struct tcp_segment *s, const uint8_t *p, size_t n)
{
	while (n && p[0] != OPT_END) {
		size_t len = 1;

		if (p[0] != OPT_NOP) {
			if (n < 2 || p[1] < 2 || p[1] > n)
				return;
			len = p[1];
			take_option(s, p, len);
		}
		p += len;
		n -= len;
	}
}

int
tcp_segment_parse(const uint8_t *p, size_t n, struct tcp_segment *ret)
{
	size_t head;

	if (n < TCP_SEGMENT_HEADER || n > SEGMENT_MAX)
		return -EINVAL;
	head = (size_t)(p[12] >> 4) * 4;
	if (head < TCP_SEGMENT_HEADER || head > n)
		return -EINVAL;
	*ret = (struct tcp_segment){
		.sport = (uint16_t)get16(p),
		.dport = (uint16_t)get16(p + 2),
		.seq = get32(p + 4),
		.ack = get32(p + 8),
		.flags = p[13] & 0x3f,
		.window = (uint16_t)get16(p + 14),
		.data = p + head,
		.len = (uint32_t)(n - head),
	};
	take_options(ret, p + TCP_SEGMENT_HEADER, head - TCP_SEGMENT_HEADER);
	return 0;
}

void
tcp_header_put(uint8_t *b, const struct tcp_segment *s, size_t options)
{
	memset(b, 0, TCP_SEGMENT_HEADER);
	put16(b, s->sport);
	put16(b + 2, s->dport);
	put32(b + 4, s->seq);
	if (s->flags & ACK)
		put32(b + 8, s->ack);
	b[12] = (uint8_t)((TCP_SEGMENT_HEADER + options) / 4 << 4);
	b[13] = s->flags;
	put16(b + 14, s->window);
}

size_t
tcp_timestamp_put(uint8_t *b, uint32_t val, uint32_t ecr)
{
	b[0] = b[1] = OPT_NOP;
	b[2] = OPT_TIMESTAMP;
	b[3] = 10;
	put32(b + 4, val);
	put32(b + 8, ecr);
	return TIMESTAMP_LEN;
}

size_t
tcp_syn_options_put(uint8_t *b, const struct tcp_segment *s)
{
	size_t n = 4;

	b[0] = OPT_MSS;
	b[1] = 4;
	put16(b + 2, s->mss);
	if (s->has_timestamp)
		n += tcp_timestamp_put(b + n, s->tsval, s->tsecr);
	if (s->has_wscale) {
		b[n] = OPT_NOP;
		b[n + 1] = OPT_WSCALE;
		b[n + 2] = 3;
		b[n + 3] = s->wscale;
		n += 4;
	}
	return n;
}

size_t
tcp_reset_for(const struct tcp_segment *s, uint8_t buf[TCP_SEGMENT_HEADER])
{
	struct tcp_segment r = {.sport = s->dport, .dport = s->sport, .flags = RST};

	if (s->flags & RST)
		return 0;
	if (s->flags & ACK) {
		r.seq = s->ack;
	} else {
		r.flags |= ACK;
		r.ack = s->seq + s->len + !!(s->flags & SYN) + !!(s->flags & FIN);
	}
	tcp_header_put(buf, &r, 0);
	return TCP_SEGMENT_HEADER;
}
