// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of what the kernel does with a TPM that is not for it: one that
 * waits for the upgrade of its firmware, and one that is not hardware.
 */

#include <kunit/device.h>
#include <kunit/test.h>

#include <linux/device.h>
#include <linux/tpm.h>

#include "tpm.h"

/* How many commands the chips of a test were sent */
static int commands;

static int fake_send(struct tpm_chip *chip, u8 *buf, size_t bufsiz, size_t len)
{
	commands++;
	return -EIO;
}

static int fake_recv(struct tpm_chip *chip, u8 *buf, size_t len)
{
	return -EIO;
}

static void fake_cancel(struct tpm_chip *chip)
{
}

static u8 fake_status(struct tpm_chip *chip)
{
	return 0;
}

static bool fake_req_canceled(struct tpm_chip *chip, u8 status)
{
	return true;
}

static const struct tpm_class_ops fake_ops = {
	.send = fake_send,
	.recv = fake_recv,
	.cancel = fake_cancel,
	.status = fake_status,
	.req_canceled = fake_req_canceled,
};

KUNIT_DEFINE_ACTION_WRAPPER(put_chip_device, put_device, struct device *);
KUNIT_DEFINE_ACTION_WRAPPER(unregister_chip, tpm_chip_unregister, struct tpm_chip *);

static struct tpm_chip *add_chip(struct kunit *test, const char *name, unsigned int flags)
{
	struct device *parent = kunit_device_register(test, name);
	struct tpm_chip *chip;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, parent);
	chip = tpm_chip_alloc(parent, &fake_ops);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, chip);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, put_chip_device, &chip->dev), 0);
	chip->flags |= flags | TPM_CHIP_FLAG_HWRNG_DISABLED;
	KUNIT_ASSERT_EQ(test, tpm_chip_register(chip), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, unregister_chip, chip), 0);
	return chip;
}

static void expect_default(struct kunit *test, struct tpm_chip *expected)
{
	struct tpm_chip *chip = tpm_default_chip();

	KUNIT_EXPECT_PTR_EQ(test, chip, expected);
	if (chip)
		put_device(&chip->dev);
}

static void firmware_upgrade_is_passed_over(struct kunit *test)
{
	struct tpm_chip *upgrade, *chip;

	upgrade = add_chip(test, "tpm-test-upgrade", TPM_CHIP_FLAG_FIRMWARE_UPGRADE);
	expect_default(test, NULL);

	chip = add_chip(test, "tpm-test", TPM_CHIP_FLAG_VIRTUAL);
	KUNIT_ASSERT_LT(test, upgrade->dev_num, chip->dev_num);
	expect_default(test, chip);
}

/* Neither is a TPM that came too late for IMA, which would send PCR_Extend. */
static void ima_lets_be(struct kunit *test)
{
	add_chip(test, "tpm-test-upgrade", TPM_CHIP_FLAG_FIRMWARE_UPGRADE);
	add_chip(test, "tpm-test-virtual", TPM_CHIP_FLAG_VIRTUAL);
	KUNIT_EXPECT_EQ(test, commands, 0);
}

/* The TPM of the machine is the default one, whatever else there is. */
static int tpm_chip_test_init(struct kunit *test)
{
	struct tpm_chip *chip = tpm_default_chip();

	if (chip) {
		put_device(&chip->dev);
		kunit_skip(test, "this machine has a TPM");
	}
	commands = 0;
	return 0;
}

static struct kunit_case tpm_chip_cases[] = {
	KUNIT_CASE(firmware_upgrade_is_passed_over),
	KUNIT_CASE(ima_lets_be),
	{}
};

static struct kunit_suite tpm_chip_suite = {
	.name = "tpm_chip",
	.init = tpm_chip_test_init,
	.test_cases = tpm_chip_cases,
};

kunit_test_suite(tpm_chip_suite);

MODULE_DESCRIPTION("KUnit tests of the choice of a TPM");
MODULE_LICENSE("GPL");
