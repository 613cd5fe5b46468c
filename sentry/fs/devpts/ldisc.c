/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line discipline: editing, echo, signals, flow control and output processing (termios(3);
 * Linux: drivers/tty/n_tty.c). Everything here is under the pty's lock and never blocks.
 */
#include "internal.h"
#include <string.h>

#define DISABLED 0 /* a control character that is off (_POSIX_VDISABLE) */

static bool
is(const struct pty *p, uint8_t c, int which)
{
	return p->tio.cc[which] != DISABLED && c == p->tio.cc[which];
}

void
ldisc_reset(struct pty *p)
{
	static const uint8_t cc[LX_NCCS] = {[LX_VINTR] = 3,
		[LX_VQUIT] = 28,
		[LX_VERASE] = 127,
		[LX_VKILL] = 21,
		[LX_VEOF] = 4,
		[LX_VMIN] = 1,
		[LX_VSTART] = 17,
		[LX_VSTOP] = 19,
		[LX_VSUSP] = 26,
		[LX_VREPRINT] = 18,
		[LX_VDISCARD] = 15,
		[LX_VWERASE] = 23,
		[LX_VLNEXT] = 22};

	p->tio = (struct lx_termios2){
		.iflag = LX_ICRNL | LX_IXON,
		.oflag = LX_OPOST | LX_ONLCR,
		.cflag = LX_B38400 | LX_CS8 | LX_CREAD,
		.lflag = LX_ISIG | LX_ICANON | LX_ECHO | LX_ECHOE | LX_ECHOK | LX_ECHOCTL |
			 LX_ECHOKE | LX_IEXTEN,
		.ispeed = 38400,
		.ospeed = 38400,
	};
	memcpy(p->tio.cc, cc, sizeof cc);
}

/* --- output --- */

static uint32_t
out_room(const struct pty *p)
{
	return OUT_SIZE - (p->ohead - p->otail);
}

static void
out_put(struct pty *p, uint8_t c)
{
	if (out_room(p))
		p->out[p->ohead++ % OUT_SIZE] = c;
}

/* One character through output processing: false when there is no room for what it becomes. */
static bool
out_char(struct pty *p, uint8_t c)
{
	uint32_t of = p->tio.oflag, n;

	if (!(of & LX_OPOST)) {
		if (!out_room(p))
			return false;
		out_put(p, c);
		return true;
	}
	if (out_room(p) < 8)
		return false;
	switch (c) {
	case '\n':
		if (of & LX_ONLRET)
			p->column = 0;
		if (of & LX_ONLCR) {
			p->column = 0;
			out_put(p, '\r');
		}
		break;
	case '\r':
		if ((of & LX_ONOCR) && p->column == 0)
			return true;
		if (of & LX_OCRNL) {
			c = '\n';
			if (of & LX_ONLRET)
				p->column = 0;
			break;
		}
		p->column = 0;
		break;
	case '\t':
		n = 8 - (p->column & 7);
		p->column += n;
		if ((of & LX_TABDLY) == LX_XTABS) {
			while (n--)
				out_put(p, ' ');
			return true;
		}
		break;
	case '\b':
		if (p->column)
			p->column--;
		break;
	default:
		if (c >= 32 && c != 127) {
			if ((of & LX_OLCUC) && c >= 'a' && c <= 'z')
				c = (uint8_t)(c - 32);
			/* the later bytes of a UTF-8 character take no column */
			if (!((p->tio.iflag & LX_IUTF8) && (c & 0xc0) == 0x80))
				p->column++;
		}
	}
	out_put(p, c);
	return true;
}

uint32_t
ldisc_output(struct pty *p, const uint8_t *s, uint32_t n)
{
	uint32_t i;

	if (p->stopped)
		return 0;
	for (i = 0; i < n; i++)
		if (!out_char(p, s[i]))
			break;
	return i;
}

/* --- echo --- */

static bool
shown_as_caret(const struct pty *p, uint8_t c)
{
	return (p->tio.lflag & LX_ECHOCTL) && (c < 32 || c == 127) && c != '\t';
}

static void
echo_raw(struct pty *p, uint8_t c)
{
	out_char(p, c);
}

static void
echo_char(struct pty *p, uint8_t c)
{
	if (shown_as_caret(p, c) && c != '\n') {
		echo_raw(p, '^');
		echo_raw(p, c ^ 64);
	} else {
		echo_raw(p, c);
	}
}

/* How many columns an input character took when it was echoed. */
static uint32_t
width(const struct pty *p, uint8_t c)
{
	if (shown_as_caret(p, c))
		return 2;
	if (c < 32 || c == 127)
		return 0;
	return (p->tio.iflag & LX_IUTF8) && (c & 0xc0) == 0x80 ? 0 : 1;
}

static void
rub_out(struct pty *p, uint32_t n)
{
	while (n--) {
		echo_raw(p, '\b');
		echo_raw(p, ' ');
		echo_raw(p, '\b');
	}
}

/* A tab is as wide as the rest of the line makes it: measure the line up to it. */
static uint32_t
tab_width(struct pty *p)
{
	uint32_t col = p->echo_column0;

	for (uint32_t i = p->canon; i != p->head; i++) {
		uint8_t c = p->in[i % IN_SIZE];

		col += c == '\t' ? 8 - (col & 7) : width(p, c);
	}
	return p->column > col ? p->column - col : 0;
}

static void
erase_one(struct pty *p)
{
	uint8_t c;

	/* the whole of a UTF-8 character */
	do {
		c = p->in[--p->head % IN_SIZE];
	} while ((p->tio.iflag & LX_IUTF8) && (c & 0xc0) == 0x80 && p->head != p->canon);
	if (!(p->tio.lflag & LX_ECHO))
		return;
	if (!(p->tio.lflag & LX_ECHOE)) {
		echo_char(p, p->tio.cc[LX_VERASE]);
		return;
	}
	if (c == '\t') {
		for (uint32_t n = tab_width(p); n; n--)
			echo_raw(p, '\b');
		return;
	}
	rub_out(p, (p->tio.iflag & LX_IUTF8) && (c & 0x80) ? 1 : width(p, c));
}

static bool
wordlike(uint8_t c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' ||
	       c >= 0x80;
}

static void
erase_word(struct pty *p)
{
	bool seen = false;

	while (p->head != p->canon) {
		uint8_t c = p->in[(p->head - 1) % IN_SIZE];

		if (wordlike(c))
			seen = true;
		else if (seen)
			break;
		erase_one(p);
	}
}

static void
erase_line(struct pty *p)
{
	if ((p->tio.lflag & LX_ECHO) &&
		(!(p->tio.lflag & LX_ECHOK) || !(p->tio.lflag & LX_ECHOKE) ||
			!(p->tio.lflag & LX_ECHOE))) {
		p->head = p->canon;
		echo_char(p, p->tio.cc[LX_VKILL]);
		if (p->tio.lflag & LX_ECHOK)
			echo_raw(p, '\n');
		return;
	}
	while (p->head != p->canon)
		erase_one(p);
}

static void
reprint(struct pty *p)
{
	echo_char(p, p->tio.cc[LX_VREPRINT]);
	echo_raw(p, '\n');
	for (uint32_t i = p->canon; i != p->head; i++)
		echo_char(p, p->in[i % IN_SIZE]);
}

/* --- input --- */

static uint32_t
in_room(const struct pty *p)
{
	return IN_SIZE - (p->head - p->tail);
}

static void
in_put(struct pty *p, uint8_t c, uint8_t delim)
{
	p->in[p->head % IN_SIZE] = c;
	p->delim[p->head % IN_SIZE] = delim;
	p->head++;
	if (delim)
		p->canon = p->head;
}

void
ldisc_flush_in(struct pty *p)
{
	p->tail = p->canon = p->head;
	p->lnext = false;
	if (p->packet)
		p->packet_status |= LX_TIOCPKT_FLUSHREAD;
}

void
ldisc_flush_out(struct pty *p)
{
	p->otail = p->ohead;
	if (p->packet)
		p->packet_status |= LX_TIOCPKT_FLUSHWRITE;
}

void
ldisc_stop(struct pty *p, bool stop)
{
	if (p->stopped == stop)
		return;
	p->stopped = stop;
	if (p->packet) {
		p->packet_status &= (uint8_t) ~(LX_TIOCPKT_STOP | LX_TIOCPKT_START);
		p->packet_status |= stop ? LX_TIOCPKT_STOP : LX_TIOCPKT_START;
	}
}

void
ldisc_signal(struct pty *p, int signo)
{
	p->raise |= 1u << signo;
	if (!(p->tio.lflag & LX_NOFLSH)) {
		ldisc_flush_in(p);
		ldisc_flush_out(p);
	}
}

/* Characters that act on the terminal whatever the mode. True: it was one. */
static bool
control_char(struct pty *p, uint8_t c)
{
	if (p->tio.iflag & LX_IXON) {
		if (is(p, c, LX_VSTART)) {
			ldisc_stop(p, false);
			return true;
		}
		if (is(p, c, LX_VSTOP)) {
			ldisc_stop(p, true);
			return true;
		}
	}
	if (p->tio.lflag & LX_ISIG) {
		int signo = is(p, c, LX_VINTR)	 ? LX_SIGINT
			    : is(p, c, LX_VQUIT) ? LX_SIGQUIT
			    : is(p, c, LX_VSUSP) ? LX_SIGTSTP
						 : 0;

		if (signo) {
			ldisc_signal(p, signo);
			if (p->tio.iflag & LX_IXON)
				ldisc_stop(p, false);
			if (p->tio.lflag & LX_ECHO)
				echo_char(p, c);
			return true;
		}
	}
	return false;
}

/* Line editing. True: c was an editing character, or ended a line. */
static bool
canon_char(struct pty *p, uint8_t c)
{
	bool ext = p->tio.lflag & LX_IEXTEN, echo = p->tio.lflag & LX_ECHO;

	if (is(p, c, LX_VERASE)) {
		if (p->head != p->canon)
			erase_one(p);
		return true;
	}
	if (is(p, c, LX_VKILL)) {
		erase_line(p);
		return true;
	}
	if (ext && is(p, c, LX_VWERASE)) {
		erase_word(p);
		return true;
	}
	if (ext && is(p, c, LX_VLNEXT)) {
		p->lnext = true;
		if (echo && (p->tio.lflag & LX_ECHOCTL)) {
			echo_raw(p, '^');
			echo_raw(p, '\b');
		}
		return true;
	}
	if (ext && echo && is(p, c, LX_VREPRINT)) {
		reprint(p);
		return true;
	}
	if (c == '\n') {
		if (echo || (p->tio.lflag & LX_ECHONL))
			echo_raw(p, '\n');
		in_put(p, c, DELIM_LINE);
		return true;
	}
	if (is(p, c, LX_VEOF)) {
		in_put(p, 0, DELIM_EOF);
		return true;
	}
	if (is(p, c, LX_VEOL) || (ext && is(p, c, LX_VEOL2))) {
		if (echo)
			echo_char(p, c);
		in_put(p, c, DELIM_LINE);
		return true;
	}
	return false;
}

/* False: the buffer is full; try again when it has been read. */
static bool
receive_char(struct pty *p, uint8_t c)
{
	uint32_t fl = p->tio.iflag;
	bool canon = p->tio.lflag & LX_ICANON;

	if (fl & LX_ISTRIP)
		c &= 0x7f;
	if ((fl & LX_IUCLC) && (p->tio.lflag & LX_IEXTEN) && c >= 'A' && c <= 'Z')
		c = (uint8_t)(c + 32);
	if (p->tio.lflag & LX_EXTPROC) {
		if (!in_room(p))
			return false;
		in_put(p, c, 0);
		return true;
	}
	if (!p->lnext) {
		if (control_char(p, c))
			return true;
		if (p->stopped && (fl & LX_IXON) && (fl & LX_IXANY))
			ldisc_stop(p, false);
		if (c == '\r') {
			if (fl & LX_IGNCR)
				return true;
			if (fl & LX_ICRNL)
				c = '\n';
		} else if (c == '\n' && (fl & LX_INLCR)) {
			c = '\r';
		}
	}
	if (canon) {
		/* the last place is for the end of the line; a line that does not fit loses its
		 * rest */
		if (in_room(p) <= 1 && p->canon == p->tail && c != '\n' && !is(p, c, LX_VEOF)) {
			if (is(p, c, LX_VERASE) || is(p, c, LX_VKILL) || is(p, c, LX_VWERASE))
				return canon_char(p, c);
			if (fl & LX_IMAXBEL)
				out_put(p, 7);
			return true;
		}
		if (in_room(p) <= 1 && p->canon != p->tail)
			return false;
		if (!p->lnext && canon_char(p, c))
			return true;
		if (p->head == p->canon)
			p->echo_column0 = p->column;
	} else if (!in_room(p)) {
		return false;
	}
	p->lnext = false;
	if (p->tio.lflag & LX_ECHO) {
		if (!canon && c == '\n')
			echo_raw(p, '\n');
		else
			echo_char(p, c);
	}
	in_put(p, c, 0);
	return true;
}

uint32_t
ldisc_receive(struct pty *p, const uint8_t *s, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (!receive_char(p, s[i]))
			break;
	return i;
}

/* --- reading --- */

uint32_t
ldisc_in_bytes(const struct pty *p)
{
	uint32_t n = 0;

	if (!(p->tio.lflag & LX_ICANON) || (p->tio.lflag & LX_EXTPROC))
		return p->head - p->tail;
	for (uint32_t i = p->tail; i != p->canon; i++)
		n += p->delim[i % IN_SIZE] != DELIM_EOF;
	return n;
}

bool
ldisc_readable(const struct pty *p)
{
	if ((p->tio.lflag & LX_ICANON) && !(p->tio.lflag & LX_EXTPROC))
		return p->canon != p->tail;
	if (!p->tio.cc[LX_VTIME] && p->tio.cc[LX_VMIN])
		return p->head - p->tail >= p->tio.cc[LX_VMIN];
	return p->head != p->tail;
}

static int
read_canon(struct pty *p, uint8_t *buf, uint32_t n)
{
	uint32_t got = 0;

	if (p->canon == p->tail)
		return -EAGAIN;
	while (got < n && p->tail != p->canon) {
		uint32_t i = p->tail % IN_SIZE;

		p->tail++;
		if (p->delim[i] == DELIM_EOF)
			return (int)got;
		buf[got++] = p->in[i];
		if (p->delim[i])
			break;
		/* an end of file right behind a full buffer belongs to this line */
		if (got == n && p->tail != p->canon && p->delim[p->tail % IN_SIZE] == DELIM_EOF)
			p->tail++;
	}
	return (int)got;
}

static int
read_raw(struct pty *p, uint8_t *buf, uint32_t n)
{
	uint32_t have = p->head - p->tail, min = p->tio.cc[LX_VMIN], time = p->tio.cc[LX_VTIME];
	uint32_t need = time ? 1 : min;

	/* VMIN with VTIME: VMIN bytes, or what is there when the time between two has passed */
	if (time && min && have < min && have < n && !p->timed_out)
		need = min < n ? min : n;
	if (need > n)
		need = n;
	if (have < need) {
		if (time && !min && p->timed_out) {
			p->timed_out = false;
			return 0;
		}
		return -EAGAIN;
	}
	p->timed_out = false;
	if (n > have)
		n = have;
	for (uint32_t i = 0; i < n; i++)
		buf[i] = p->in[p->tail++ % IN_SIZE];
	if (p->canon - p->tail > IN_SIZE)
		p->canon = p->tail;
	return (int)n;
}

int
ldisc_read(struct pty *p, uint8_t *buf, uint32_t n)
{
	if ((p->tio.lflag & LX_ICANON) && !(p->tio.lflag & LX_EXTPROC))
		return read_canon(p, buf, n);
	return read_raw(p, buf, n);
}

void
ldisc_set_termios(struct pty *p, const struct lx_termios2 *n)
{
	bool is_canon = n->lflag & LX_ICANON;
	bool other = (p->tio.lflag ^ n->lflag) & (LX_ICANON | LX_EXTPROC);
	bool was_flow = p->tio.iflag & LX_IXON;

	p->tio = *n;
	/* what was typed stays: as a line that ends here, or as bytes */
	if (other) {
		if (is_canon) {
			for (uint32_t i = p->tail; i != p->head; i++)
				p->delim[i % IN_SIZE] = 0;
			p->canon = p->tail;
			if (p->head != p->tail) {
				p->delim[(p->head - 1) % IN_SIZE] = DELIM_LINE;
				p->canon = p->head;
			}
		}
		p->lnext = false;
	}
	if (was_flow && !(n->iflag & LX_IXON))
		ldisc_stop(p, false);
	if (p->packet) {
		bool dostop =
			(n->iflag & LX_IXON) && n->cc[LX_VSTOP] == 19 && n->cc[LX_VSTART] == 17;

		if (was_flow != !!(n->iflag & LX_IXON)) {
			p->packet_status &= (uint8_t) ~(LX_TIOCPKT_DOSTOP | LX_TIOCPKT_NOSTOP);
			p->packet_status |= dostop ? LX_TIOCPKT_DOSTOP : LX_TIOCPKT_NOSTOP;
		}
	}
}
