/* SPDX-License-Identifier: Apache-2.0 */
/* Terminals: termios, window size, ioctls (ioctl_tty(2)). */
#ifndef ABI_TTY_H
#define ABI_TTY_H

#include <stdint.h>

#define LX_NCCS 19

struct lx_termios2 {
	uint32_t iflag, oflag, cflag, lflag;
	uint8_t line;
	uint8_t cc[LX_NCCS];
	uint32_t ispeed, ospeed; /* only in the second form of the calls */
};
#define LX_TERMIOS_SIZE 36 /* struct termios: without the speeds */

/* What System V had before. */
#define LX_NCC 8
struct lx_termio {
	uint16_t iflag, oflag, cflag, lflag;
	uint8_t line;
	uint8_t cc[LX_NCC];
};

struct lx_winsize {
	uint16_t row, col, xpixel, ypixel;
};

#define LX_VINTR    0
#define LX_VQUIT    1
#define LX_VERASE   2
#define LX_VKILL    3
#define LX_VEOF	    4
#define LX_VTIME    5
#define LX_VMIN	    6
#define LX_VSTART   8
#define LX_VSTOP    9
#define LX_VSUSP    10
#define LX_VEOL	    11
#define LX_VREPRINT 12
#define LX_VDISCARD 13
#define LX_VWERASE  14
#define LX_VLNEXT   15
#define LX_VEOL2    16

#define LX_IGNBRK  0000001u
#define LX_BRKINT  0000002u
#define LX_ISTRIP  0000040u
#define LX_INLCR   0000100u
#define LX_IGNCR   0000200u
#define LX_ICRNL   0000400u
#define LX_IUCLC   0001000u
#define LX_IXON	   0002000u
#define LX_IXANY   0004000u
#define LX_IXOFF   0010000u
#define LX_IMAXBEL 0020000u
#define LX_IUTF8   0040000u

#define LX_OPOST  0000001u
#define LX_OLCUC  0000002u
#define LX_ONLCR  0000004u
#define LX_OCRNL  0000010u
#define LX_ONOCR  0000020u
#define LX_ONLRET 0000040u
#define LX_TABDLY 0014000u
#define LX_XTABS  0014000u

#define LX_CS8	  0000060u
#define LX_CREAD  0000200u
#define LX_HUPCL  0002000u
#define LX_B38400 0000017u

#define LX_ISIG	   0000001u
#define LX_ICANON  0000002u
#define LX_XCASE   0000004u
#define LX_ECHO	   0000010u
#define LX_ECHOE   0000020u
#define LX_ECHOK   0000040u
#define LX_ECHONL  0000100u
#define LX_NOFLSH  0000200u
#define LX_TOSTOP  0000400u
#define LX_ECHOCTL 0001000u
#define LX_ECHOPRT 0002000u
#define LX_ECHOKE  0004000u
#define LX_IEXTEN  0100000u
#define LX_EXTPROC 0200000u

#define LX_CLOCAL 0004000u

#define LX_TCGETS	  0x5401u
#define LX_TCSETS	  0x5402u
#define LX_TCSETSW	  0x5403u
#define LX_TCSETSF	  0x5404u
#define LX_TCGETA	  0x5405u
#define LX_TCSETA	  0x5406u
#define LX_TCSETAW	  0x5407u
#define LX_TCSETAF	  0x5408u
#define LX_TCSBRK	  0x5409u
#define LX_TCXONC	  0x540Au
#define LX_TCFLSH	  0x540Bu
#define LX_TIOCEXCL	  0x540Cu
#define LX_TIOCNXCL	  0x540Du
#define LX_TIOCSCTTY	  0x540Eu
#define LX_TIOCGPGRP	  0x540Fu
#define LX_TIOCSPGRP	  0x5410u
#define LX_TIOCOUTQ	  0x5411u
#define LX_TIOCSTI	  0x5412u
#define LX_TIOCGWINSZ	  0x5413u
#define LX_TIOCSWINSZ	  0x5414u
#define LX_TIOCGSOFTCAR	  0x5419u
#define LX_TIOCSSOFTCAR	  0x541Au
#define LX_TIOCINQ	  0x541Bu
#define LX_TIOCPKT	  0x5420u
#define LX_TIOCNOTTY	  0x5422u
#define LX_TIOCSETD	  0x5423u
#define LX_TIOCGETD	  0x5424u
#define LX_TCSBRKP	  0x5425u
#define LX_TIOCGSID	  0x5429u
#define LX_TCGETS2	  0x802C542Au
#define LX_TCSETS2	  0x402C542Bu
#define LX_TCSETSW2	  0x402C542Cu
#define LX_TCSETSF2	  0x402C542Du
#define LX_TIOCGPTN	  0x80045430u
#define LX_TIOCSPTLCK	  0x40045431u
#define LX_TIOCGDEV	  0x80045432u
#define LX_TIOCSIG	  0x40045436u
#define LX_TIOCVHANGUP	  0x5437u
#define LX_TIOCGLCKTRMIOS 0x5456u
#define LX_TIOCSLCKTRMIOS 0x5457u
#define LX_TIOCGPKT	  0x80045438u
#define LX_TIOCGPTLCK	  0x80045439u
#define LX_TIOCGEXCL	  0x80045440u
#define LX_TIOCGPTPEER	  0x5441u

#define LX_TIOCPKT_DATA	      0
#define LX_TIOCPKT_FLUSHREAD  1
#define LX_TIOCPKT_FLUSHWRITE 2
#define LX_TIOCPKT_STOP	      4
#define LX_TIOCPKT_START      8
#define LX_TIOCPKT_NOSTOP     16
#define LX_TIOCPKT_DOSTOP     32
#define LX_TIOCPKT_IOCTL      64

#endif
