// SPDX-License-Identifier: GPL-2.0-only
/*
 * /lab/tpm send COMMAND: have the TPM execute a command, and print its
 * response, both in hexadecimal digits.
 *
 * /lab/tpm busy COMMAND: the same again and again, as fast as it can, from a
 * process in the background that is there once this one has ended; it tells
 * the kernel's log when there is no response any longer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SIZE	4096

static int transmit(int fd, const unsigned char *cmd, size_t len, unsigned char *rsp)
{
	ssize_t n = write(fd, cmd, len);

	if (n < 0)
		return -errno;
	n = read(fd, rsp, SIZE);
	return n < 0 ? -errno : (int)n;
}

static void busy(int fd, const unsigned char *cmd, size_t len)
{
	int log = open("/dev/kmsg", O_WRONLY);
	unsigned char rsp[SIZE];
	unsigned int count = 0;
	char text[50];
	int rc;

	while ((rc = transmit(fd, cmd, len, rsp)) > 0)
		count++;
	/* Not dprintf(), which wants to seek */
	snprintf(text, sizeof(text), "tpm: %u commands, then %d", count, rc);
	if (log < 0 || write(log, text, strlen(text)) < 0)
		perror(text);
	/* Alive, as user space is, and with the device open */
	pause();
}

int main(int argc, char **argv)
{
	unsigned char cmd[SIZE], rsp[SIZE];
	size_t len = 0;
	int fd, rc, n;

	if (argc != 3 || (strcmp(argv[1], "send") && strcmp(argv[1], "busy"))) {
		fprintf(stderr, "usage: %s send|busy COMMAND\n", argv[0]);
		return 2;
	}
	while (len < SIZE && sscanf(argv[2] + 2 * len, "%2hhx", &cmd[len]) == 1)
		len++;
	/* tpm0 can be opened once only, tpmrm0 by many */
	fd = open("/dev/tpmrm0", O_RDWR);
	if (fd < 0) {
		perror("/dev/tpmrm0");
		return 1;
	}
	rc = transmit(fd, cmd, len, rsp);
	if (rc < 0) {
		fprintf(stderr, "tpm: %s\n", strerror(-rc));
		return 1;
	}
	for (n = 0; n < rc; n++)
		printf("%02x", rsp[n]);
	putchar('\n');
	fflush(stdout);
	if (!strcmp(argv[1], "busy") && !fork())
		busy(fd, cmd, len);
	return 0;
}
