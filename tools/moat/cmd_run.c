/* SPDX-License-Identifier: Apache-2.0 */
#include "moat.h"

int
cmd_run(int argc, char **argv)
{
	(void)argc, (void)argv;
	return complain("run: no bundle");
}
