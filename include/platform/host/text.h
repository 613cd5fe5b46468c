/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLATFORM_HOST_TEXT_H
#define PLATFORM_HOST_TEXT_H

/* Let go of the program's code and constants, of which a process that is about to wait needs few:
 * what is touched again comes back from the page cache. */
void host_text_drop(void);

#endif
