// SPDX-License-Identifier: GPL-2.0-only
/*
 * /lab/clock: the system counter in nanoseconds. Unlike Linux' clocks it goes
 * on through a kexec.
 */
#include <stdint.h>
#include <stdio.h>

int main(void)
{
	uint64_t count, hz;

	asm volatile("isb; mrs %0, cntvct_el0; mrs %1, cntfrq_el0" : "=r"(count), "=r"(hz));
	printf("%.0f\n", count * 1e9 / hz);
	return 0;
}
