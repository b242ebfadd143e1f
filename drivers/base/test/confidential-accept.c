// SPDX-License-Identifier: GPL-2.0-only
/*
 * Accept PCI devices that nobody has verified, for tests.
 *
 * Where there is no bus that can verify a device, this takes the part of one: it
 * unbinds the driver, accepts or rejects the device, and lets the driver probe
 * again.
 */

#define pr_fmt(fmt) "confidential_accept: " fmt

#include <linux/device.h>
#include <linux/device/confidential.h>
#include <linux/moduleparam.h>
#include <linux/panic.h>
#include <linux/pci.h>
#include <linux/string.h>

static int cc_accept_change(const char *val, bool accept)
{
	char name[32];
	int ret;

	if (strscpy(name, val) < 0)
		return -EINVAL;

	struct device *dev __free(put_device) =
		bus_find_device_by_name(&pci_bus_type, NULL, strim(name));
	if (!dev)
		return -ENODEV;

	/* This kernel no longer keeps what confidential devices promise */
	add_taint(TAINT_TEST, LOCKDEP_STILL_OK);

	device_release_driver(dev);
	scoped_guard(device, dev)
		ret = accept ? device_cc_accept(dev) : device_cc_reject(dev);
	pr_info("%s: %s: %d\n", dev_name(dev), accept ? "accept" : "reject", ret);
	if (device_attach(dev) < 0)
		pr_warn("%s: no driver has come back\n", dev_name(dev));
	return ret;
}

static int accept_set(const char *val, const struct kernel_param *kp)
{
	return cc_accept_change(val, true);
}

static int reject_set(const char *val, const struct kernel_param *kp)
{
	return cc_accept_change(val, false);
}

static const struct kernel_param_ops accept_ops = { .set = accept_set };
module_param_cb(accept, &accept_ops, NULL, 0200);
MODULE_PARM_DESC(accept, "PCI device to take into the trust boundary, as 0000:00:02.0");

static const struct kernel_param_ops reject_ops = { .set = reject_set };
module_param_cb(reject, &reject_ops, NULL, 0200);
MODULE_PARM_DESC(reject, "PCI device to put out of the trust boundary");
