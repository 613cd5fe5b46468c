/* SPDX-License-Identifier: Apache-2.0 */
/* ioctl(2) commands that are not about terminals (abi/tty.h). */
#ifndef ABI_IOCTL_H
#define ABI_IOCTL_H

#define LX_FIGETBSZ	  0x2u
#define LX_FICLONE	  0x40049409u
#define LX_FICLONERANGE	  0x4020940du
#define LX_FIFREEZE	  0xc0045877u
#define LX_FITHAW	  0xc0045878u
#define LX_FS_IOC_FIEMAP  0xc020660bu
#define LX_FIONREAD	  0x541Bu
#define LX_FIONBIO	  0x5421u
#define LX_FIONCLEX	  0x5450u
#define LX_FIOCLEX	  0x5451u
#define LX_FIOASYNC	  0x5452u
#define LX_FIOQSIZE	  0x5460u
#define LX_RNDGETENTCNT	  0x80045200u
#define LX_RNDADDTOENTCNT 0x40045201u
#define LX_RNDADDENTROPY  0x40085203u

#endif
