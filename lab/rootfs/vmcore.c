// SPDX-License-Identifier: GPL-2.0-only
/*
 * /lab/vmcore ADDRESS...: in a crash kernel, the pages of 4 KiB that the crashed
 * kernel had at these physical addresses, one after the other on standard output.
 * Of what belongs to user space there is nothing in a dump by makedumpfile -d 31.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE		4096
#define SEGMENTS	64

/* Where in the file is the memory at an address? 0 if nowhere. */
static off_t offset_of(const Elf64_Phdr *segments, int num, uint64_t address)
{
	for (const Elf64_Phdr *s = segments; s < segments + num; s++)
		if (s->p_type == PT_LOAD && address >= s->p_paddr &&
		    address - s->p_paddr + PAGE <= s->p_filesz)
			return s->p_offset + (address - s->p_paddr);
	return 0;
}

int main(int argc, char **argv)
{
	int fd = open("/proc/vmcore", O_RDONLY);
	Elf64_Phdr segments[SEGMENTS];
	Elf64_Ehdr head;
	char page[PAGE];

	if (fd < 0 || pread(fd, &head, sizeof(head), 0) != sizeof(head) ||
	    head.e_phnum > SEGMENTS ||
	    pread(fd, segments, head.e_phnum * sizeof(*segments), head.e_phoff) !=
	    (ssize_t)(head.e_phnum * sizeof(*segments))) {
		fprintf(stderr, "vmcore: cannot read the head of /proc/vmcore: %s\n", strerror(errno));
		return 1;
	}
	for (int n = 1; n < argc; n++) {
		off_t offset = offset_of(segments, head.e_phnum, strtoull(argv[n], NULL, 0));

		if (!offset || pread(fd, page, PAGE, offset) != PAGE ||
		    fwrite(page, PAGE, 1, stdout) != 1) {
			fprintf(stderr, "vmcore: no page at %s in /proc/vmcore\n", argv[n]);
			return 1;
		}
	}
	return 0;
}
