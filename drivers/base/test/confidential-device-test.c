// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for confidential devices: the contract of each function, the
 * life of the state, and transitions against binding and removal.
 *
 * Built-in only: but for device_cc_probe(), what is tested is not exported.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/device/confidential.h>
#include <linux/kthread.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/sysfs.h>

#include "../base.h"
#include "confidential-test.h"

/**
 * struct cc_dev - a device on the test bus
 * @dev: the device
 * @offered: the driver that the bus matches it with, if any
 * @released: completed by the release of @dev; its memory belongs to the test
 * @added: device_add() was successful, device_del() was not called
 * @probes: calls of any driver's probe
 * @in_probe: answer of device_cc_accept() and device_cc_reject() in probe
 * @in_remove: answer of device_cc_accept() and device_cc_reject() in remove
 * @in_del: answer of device_cc_accept() from the notification of the removal
 * @accepted_in_probe: state as seen by the driver's probe
 * @accepted_in_remove: state as seen by the driver's remove
 * @accepted_in_devres: state as seen by the release of a managed resource
 * @accepted_in_removed: state as seen by the last notification
 * @torn: times that a driver's remove saw another state than its probe
 * @down_in_del: the machine goes down during the removal
 * @quiet: the bus has quiesced the device, on the way down
 * @given_back: times that the bus has taken it out of the private state, or tried
 * @give_back: how that ends
 * @gave_wrongly: times that this was not after all else, under the device lock,
 *		  and with the device accepted
 */
struct cc_dev {
	struct device dev;
	struct device_driver *offered;
	struct completion released;
	bool added;
	unsigned int probes;
	int in_probe[2];
	int in_remove[2];
	int in_del;
	bool accepted_in_probe;
	bool accepted_in_remove;
	bool accepted_in_devres;
	bool accepted_in_removed;
	unsigned int torn;
	bool down_in_del;
	bool quiet;
	unsigned int given_back, gave_wrongly;
	int give_back;
};

#define to_cc_dev(d) container_of(d, struct cc_dev, dev)

/* change uevents with CC_ACCEPTED=0 and =1, of all devices on the bus */
static unsigned int cc_uevents[2];

/* what the stub of device_cc_shutting_down() answers */
static bool cc_down;

static int cc_match(struct device *dev, const struct device_driver *drv)
{
	return to_cc_dev(dev)->offered == drv;
}

static int cc_uevent(const struct device *dev, struct kobj_uevent_env *env)
{
	int accepted = cc_test_uevent(env);

	if (accepted >= 0)
		cc_uevents[accepted]++;
	return 0;
}

static void cc_quiesce(struct device *dev)
{
	to_cc_dev(dev)->quiet = true;
}

static int cc_give_back(struct device *dev)
{
	struct cc_dev *cc = to_cc_dev(dev);

	cc->given_back++;
	cc->gave_wrongly += !cc->quiet || !mutex_is_locked(&dev->mutex) ||
			    !device_cc_accepted(dev);
	return cc->give_back;
}

static const struct bus_type cc_bus = {
	.name = "cc-test",
	.match = cc_match,
	.uevent = cc_uevent,
	.shutdown = cc_quiesce,
	.cc_shutdown = cc_give_back,
};

static int cc_probe(struct device *dev)
{
	struct cc_dev *cc = to_cc_dev(dev);

	cc->probes++;
	cc->in_probe[0] = device_cc_accept(dev);
	cc->in_probe[1] = device_cc_reject(dev);
	cc->accepted_in_probe = device_cc_accepted(dev);
	return 0;
}

static int cc_probe_waiting(struct device *dev)
{
	int ret = device_cc_probe(dev);

	to_cc_dev(dev)->probes++;
	to_cc_dev(dev)->accepted_in_probe = !ret;
	return ret;
}

static int cc_remove(struct device *dev)
{
	struct cc_dev *cc = to_cc_dev(dev);

	cc->in_remove[0] = device_cc_accept(dev);
	cc->in_remove[1] = device_cc_reject(dev);
	cc->accepted_in_remove = device_cc_accepted(dev);
	cc->torn += cc->accepted_in_remove != cc->accepted_in_probe;
	return 0;
}

static struct device_driver cc_plain = {
	.name = "cc-plain", .bus = &cc_bus,
	.probe = cc_probe, .remove = cc_remove,
	.probe_type = PROBE_FORCE_SYNCHRONOUS,
};

static struct device_driver cc_waiting = {
	.name = "cc-waiting", .bus = &cc_bus,
	.probe = cc_probe_waiting, .remove = cc_remove,
	.probe_type = PROBE_FORCE_SYNCHRONOUS,
};

static struct device_driver cc_async = {
	.name = "cc-async", .bus = &cc_bus,
	.probe = cc_probe_waiting, .remove = cc_remove,
	.probe_type = PROBE_PREFER_ASYNCHRONOUS,
};

static struct device_driver *cc_drivers[] = { &cc_plain, &cc_waiting, &cc_async };

static int cc_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	struct device *dev = data;
	struct cc_dev *cc = to_cc_dev(dev);

	if (event == BUS_NOTIFY_DEL_DEVICE) {
		guard(device)(dev);
		cc->in_del = device_cc_accept(dev);
		if (cc->down_in_del)
			device_cc_shutdown(dev);
	} else if (event == BUS_NOTIFY_REMOVED_DEVICE) {
		cc->accepted_in_removed = device_cc_accepted(dev);
	}
	return NOTIFY_DONE;
}

static struct notifier_block cc_nb = { .notifier_call = cc_notify };

static void cc_release(struct device *dev)
{
	complete(&to_cc_dev(dev)->released);
}

/* Make @cc's memory a device that is initialized, and not added */
static void cc_init_dev(struct cc_dev *cc, const char *name)
{
	memset(cc, 0, sizeof(*cc));
	init_completion(&cc->released);
	device_initialize(&cc->dev);
	cc->dev.bus = &cc_bus;
	cc->dev.release = cc_release;
	dev_set_name(&cc->dev, "%s", name);
}

static void cc_del(struct cc_dev *cc)
{
	if (cc->added)
		device_del(&cc->dev);
	cc->added = false;
}

/* Remove @cc where it is added, drop the last reference, wait for its release */
static void cc_put(void *data)
{
	struct cc_dev *cc = data;

	cc_del(cc);
	put_device(&cc->dev);
	wait_for_completion(&cc->released);
}

static int cc_add(struct cc_dev *cc)
{
	int ret = device_add(&cc->dev);

	cc->added = !ret;
	return ret;
}

static struct cc_dev *cc_new(struct kunit *test, const char *name)
{
	struct cc_dev *cc = kunit_kzalloc(test, sizeof(*cc), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, cc);
	cc_init_dev(cc, name);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, cc_put, cc));
	return cc;
}

static struct cc_dev *cc_new_added(struct kunit *test, const char *name)
{
	struct cc_dev *cc = cc_new(test, name);

	KUNIT_ASSERT_EQ(test, 0, cc_add(cc));
	return cc;
}

static int accept(struct cc_dev *cc)
{
	return cc_test_accept(&cc->dev);
}

static int reject(struct cc_dev *cc)
{
	return cc_test_reject(&cc->dev);
}

static int probe(struct cc_dev *cc)
{
	guard(device)(&cc->dev);
	return device_cc_probe(&cc->dev);
}

static bool accepted(struct cc_dev *cc)
{
	return device_cc_accepted(&cc->dev);
}

static bool bound(struct cc_dev *cc)
{
	guard(device)(&cc->dev);
	return cc->dev.driver;
}

static bool waits(struct cc_dev *cc)
{
	return !list_empty(&cc->dev.p->deferred_probe);
}

/* What the driver's bind attribute does */
static int bind(struct cc_dev *cc, struct device_driver *drv)
{
	return device_driver_attach(drv, &cc->dev);
}

/* What the driver's unbind attribute does */
static void unbind(struct cc_dev *cc)
{
	device_release_driver(&cc->dev);
}

/* What device_shutdown() does with each device */
static void shutdown(struct cc_dev *cc)
{
	guard(device)(&cc->dev);
	if (cc->dev.bus)
		cc->dev.bus->shutdown(&cc->dev);
	device_cc_shutdown(&cc->dev);
}

static bool cc_shutting_down_stub(void)
{
	return cc_down;
}

/* What user space reads, or a negative error if there is nothing to read */
static int cc_read_attr(struct device *dev, umode_t *mode)
{
	struct kernfs_node *kn = sysfs_get_dirent(dev->kobj.sd, "cc_accepted");
	struct device_attribute *attr;
	char *buf;
	int ret;

	if (!kn)
		return -ENOENT;
	buf = (char *)get_zeroed_page(GFP_KERNEL);
	if (buf) {
		attr = container_of((struct attribute *)kn->priv,
				    struct device_attribute, attr);
		ret = attr->show(dev, attr, buf);
		if (ret == 2 && buf[1] == '\n')
			ret = buf[0] - '0';
		else
			ret = -EINVAL;
		if (mode)
			*mode = kn->mode;
		if (attr->store)
			ret = -EPERM;
		free_page((unsigned long)buf);
	} else {
		ret = -ENOMEM;
	}
	sysfs_put(kn);
	return ret;
}

/* The static key: nothing but an acceptance turns the check on */

static void cc_key_test(struct kunit *test)
{
	struct cc_dev *cc;

	if (static_key_enabled(&device_cc_key))
		kunit_skip(test, "a device has been accepted already");

	cc = cc_new(test, "cc-key");
	KUNIT_EXPECT_EQ(test, -ENODEV, accept(cc));
	KUNIT_ASSERT_EQ(test, 0, cc_add(cc));
	KUNIT_EXPECT_EQ(test, 0, reject(cc));
	KUNIT_EXPECT_EQ(test, -EAGAIN, bind(cc, &cc_waiting));
	KUNIT_EXPECT_FALSE(test, static_key_enabled(&device_cc_key));
	KUNIT_EXPECT_FALSE(test, accepted(cc));

	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_EXPECT_TRUE(test, static_key_enabled(&device_cc_key));
	KUNIT_EXPECT_TRUE(test, accepted(cc));
}

/* device_cc_accept(), line by line */

static void cc_accept_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new_added(test, "cc-accept");

	KUNIT_EXPECT_FALSE(test, accepted(cc));
	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_EXPECT_TRUE(test, accepted(cc));
	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_EXPECT_TRUE(test, accepted(cc));
}

static void cc_accept_busy_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new_added(test, "cc-accept-busy");

	/* not accepted: while the driver probes, is bound, is being removed */
	KUNIT_ASSERT_EQ(test, 0, bind(cc, &cc_plain));
	KUNIT_EXPECT_EQ(test, -EBUSY, cc->in_probe[0]);
	KUNIT_EXPECT_FALSE(test, cc->accepted_in_probe);
	KUNIT_EXPECT_EQ(test, -EBUSY, accept(cc));
	KUNIT_EXPECT_FALSE(test, accepted(cc));
	unbind(cc);
	KUNIT_EXPECT_EQ(test, -EBUSY, cc->in_remove[0]);
	KUNIT_EXPECT_FALSE(test, cc->accepted_in_remove);
	KUNIT_EXPECT_FALSE(test, accepted(cc));

	/* accepted before: busy all the same, and the state stays whole */
	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_ASSERT_EQ(test, 0, bind(cc, &cc_plain));
	KUNIT_EXPECT_EQ(test, -EBUSY, accept(cc));
	KUNIT_EXPECT_TRUE(test, accepted(cc));
	KUNIT_EXPECT_EQ(test, 1, cc_uevents[1]);
}

static void cc_accept_nodev_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new(test, "cc-accept-nodev");

	KUNIT_EXPECT_EQ(test, -ENODEV, accept(cc));
	KUNIT_EXPECT_FALSE(test, accepted(cc));
	KUNIT_ASSERT_EQ(test, 0, cc_add(cc));
	KUNIT_EXPECT_FALSE(test, accepted(cc));

	/* while it is being removed, and afterwards */
	cc_del(cc);
	KUNIT_EXPECT_EQ(test, -ENODEV, cc->in_del);
	KUNIT_EXPECT_EQ(test, -ENODEV, accept(cc));
	KUNIT_EXPECT_FALSE(test, accepted(cc));
}

static void cc_accept_shutdown_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new_added(test, "cc-accept-down");

	cc_down = true;
	KUNIT_EXPECT_EQ(test, -ESHUTDOWN, accept(cc));
	KUNIT_EXPECT_FALSE(test, accepted(cc));

	/* without the stub: this system is up */
	kunit_deactivate_static_stub(test, device_cc_shutting_down);
	KUNIT_EXPECT_FALSE(test, device_cc_shutting_down());
}

/* device_cc_reject(), line by line */

static void cc_reject_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new(test, "cc-reject");

	KUNIT_EXPECT_EQ(test, 0, reject(cc));
	KUNIT_ASSERT_EQ(test, 0, cc_add(cc));
	KUNIT_EXPECT_EQ(test, 0, reject(cc));
	KUNIT_EXPECT_FALSE(test, accepted(cc));
	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_EXPECT_EQ(test, 0, reject(cc));
	KUNIT_EXPECT_FALSE(test, accepted(cc));
	KUNIT_EXPECT_EQ(test, 0, reject(cc));
	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_EXPECT_TRUE(test, accepted(cc));

	/* also on the way down: that is how a bus gives a device back */
	cc_down = true;
	KUNIT_EXPECT_EQ(test, 0, reject(cc));
	KUNIT_EXPECT_FALSE(test, accepted(cc));

	cc_del(cc);
	KUNIT_EXPECT_EQ(test, 0, reject(cc));
}

static void cc_reject_busy_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new_added(test, "cc-reject-busy");

	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_ASSERT_EQ(test, 0, bind(cc, &cc_plain));
	KUNIT_EXPECT_EQ(test, -EBUSY, cc->in_probe[1]);
	KUNIT_EXPECT_TRUE(test, cc->accepted_in_probe);
	KUNIT_EXPECT_EQ(test, -EBUSY, reject(cc));
	KUNIT_EXPECT_TRUE(test, accepted(cc));
	unbind(cc);
	KUNIT_EXPECT_EQ(test, -EBUSY, cc->in_remove[1]);
	KUNIT_EXPECT_TRUE(test, cc->accepted_in_remove);

	/* unbinding a driver leaves the device where it is */
	KUNIT_EXPECT_TRUE(test, accepted(cc));

	/* not accepted: busy all the same */
	KUNIT_EXPECT_EQ(test, 0, reject(cc));
	KUNIT_ASSERT_EQ(test, 0, bind(cc, &cc_plain));
	KUNIT_EXPECT_EQ(test, -EBUSY, reject(cc));
	KUNIT_EXPECT_FALSE(test, accepted(cc));
	KUNIT_EXPECT_EQ(test, 1, cc_uevents[0]);
}

/* device_cc_accepted(): any device, any context */

static void cc_accepted_test(struct kunit *test)
{
	struct cc_dev *other = cc_new_added(test, "cc-accepted-other");
	struct cc_dev *cc = cc_new(test, "cc-accepted");
	struct device *raw = kunit_kzalloc(test, sizeof(*raw), GFP_KERNEL);
	unsigned long flags;
	bool ret;

	KUNIT_ASSERT_NOT_NULL(test, raw);

	/* some device is accepted: the key is on, each device counts alone */
	KUNIT_ASSERT_EQ(test, 0, accept(other));
	KUNIT_EXPECT_FALSE(test, device_cc_accepted(raw));
	KUNIT_EXPECT_FALSE(test, accepted(cc));
	KUNIT_ASSERT_EQ(test, 0, cc_add(cc));
	KUNIT_EXPECT_FALSE(test, accepted(cc));
	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_EXPECT_EQ(test, 0, reject(other));

	local_irq_save(flags);
	ret = accepted(cc);
	local_irq_restore(flags);
	KUNIT_EXPECT_TRUE(test, ret);

	scoped_guard(device, &cc->dev)
		KUNIT_EXPECT_TRUE(test, accepted(cc));
}

/* device_cc_probe(), line by line */

static void cc_probe_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new(test, "cc-probe");

	KUNIT_EXPECT_EQ(test, -EINVAL, probe(cc));
	KUNIT_ASSERT_EQ(test, 0, cc_add(cc));
	KUNIT_EXPECT_EQ(test, -EINVAL, probe(cc));
	KUNIT_EXPECT_FALSE(test, waits(cc));

	/* the bind attribute's way of telling of a deferral is -EAGAIN */
	KUNIT_EXPECT_EQ(test, -EAGAIN, bind(cc, &cc_waiting));
	KUNIT_EXPECT_EQ(test, 1, cc->probes);
	KUNIT_EXPECT_FALSE(test, bound(cc));
	KUNIT_EXPECT_TRUE(test, waits(cc));
	KUNIT_EXPECT_STREQ(test, cc->dev.p->deferred_probe_reason,
			   "cc-waiting: TEE acceptance pending\n");

	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_EXPECT_EQ(test, -EINVAL, probe(cc));
	KUNIT_EXPECT_EQ(test, 0, bind(cc, &cc_waiting));
	KUNIT_EXPECT_TRUE(test, bound(cc));
	KUNIT_EXPECT_EQ(test, 0, probe(cc));
	KUNIT_EXPECT_FALSE(test, waits(cc));
}

/* The lock is asserted where it is assumed */

static void cc_lock_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new(test, "cc-lock");

	if (!IS_ENABLED(CONFIG_LOCKDEP) || !debug_locks)
		kunit_skip(test, "needs lockdep");

	kunit_warning_suppress(test) {
		device_cc_accept(&cc->dev);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
		device_cc_reject(&cc->dev);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 2);
		device_cc_probe(&cc->dev);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 3);
		device_cc_shutdown(&cc->dev);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 4);
		device_cc_accepted(&cc->dev);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 4);
	}
}

/* Acceptance, and nothing else, ends the wait of a driver */

/*
 * Whatever is bound lets all that wait try again, this one too: for that time it
 * does not wait.
 */
static bool waits_again(struct cc_dev *cc)
{
	for (int ms = 0; ms < 1000 && !waits(cc); ms++) {
		usleep_range(1000, 2000);
		wait_for_device_probe();
	}
	return waits(cc);
}

static void cc_wake(struct kunit *test, struct device_driver *drv)
{
	struct cc_dev *other = cc_new(test, "cc-wake-other");
	struct cc_dev *cc = cc_new(test, "cc-wake");

	other->offered = drv;
	KUNIT_ASSERT_EQ(test, 0, cc_add(other));
	cc->offered = drv;
	KUNIT_ASSERT_EQ(test, 0, cc_add(cc));
	wait_for_device_probe();
	KUNIT_EXPECT_FALSE(test, bound(cc));
	KUNIT_EXPECT_TRUE(test, waits_again(cc));
	KUNIT_EXPECT_GE(test, cc->probes, 1);

	KUNIT_EXPECT_EQ(test, 0, reject(cc));
	wait_for_device_probe();
	KUNIT_EXPECT_FALSE(test, bound(cc));
	KUNIT_EXPECT_TRUE(test, waits_again(cc));

	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	wait_for_device_probe();
	KUNIT_EXPECT_TRUE(test, bound(cc));
	KUNIT_EXPECT_TRUE(test, cc->accepted_in_probe);
	KUNIT_EXPECT_FALSE(test, waits(cc));

	/* that was not the other one's acceptance */
	KUNIT_EXPECT_FALSE(test, bound(other));
	KUNIT_EXPECT_TRUE(test, waits_again(other));
	KUNIT_EXPECT_FALSE(test, accepted(other));

	/* a driver that was unbound on purpose does not wait */
	unbind(cc);
	KUNIT_EXPECT_TRUE(test, cc->accepted_in_remove);
	KUNIT_EXPECT_EQ(test, 0, reject(cc));
	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	wait_for_device_probe();
	KUNIT_EXPECT_FALSE(test, bound(cc));
}

static void cc_wake_sync_test(struct kunit *test)
{
	cc_wake(test, &cc_waiting);
}

static void cc_wake_async_test(struct kunit *test)
{
	cc_wake(test, &cc_async);
}

/* The driver comes after the device */
static void cc_wake_driver_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new_added(test, "cc-wake-driver");

	driver_unregister(&cc_waiting);
	cc->offered = &cc_waiting;
	KUNIT_ASSERT_EQ(test, 0, driver_register(&cc_waiting));
	KUNIT_EXPECT_TRUE(test, waits(cc));
	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	wait_for_device_probe();
	KUNIT_EXPECT_TRUE(test, bound(cc));
}

/* The probe came from the bind attribute, where nobody else defers it */
static void cc_wake_bind_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new_added(test, "cc-wake-bind");

	cc->offered = &cc_waiting;
	KUNIT_EXPECT_EQ(test, -EAGAIN, bind(cc, &cc_waiting));
	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	wait_for_device_probe();
	KUNIT_EXPECT_TRUE(test, bound(cc));
	KUNIT_EXPECT_EQ(test, 2, cc->probes);
}

/* Accepted before there is a driver: no deferral at all */
static void cc_accepted_first_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new_added(test, "cc-first");

	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	cc->offered = &cc_waiting;
	KUNIT_EXPECT_EQ(test, 1, device_attach(&cc->dev));
	KUNIT_EXPECT_EQ(test, 1, cc->probes);
	KUNIT_EXPECT_TRUE(test, bound(cc));
}

/* The life of the state */

static void cc_devres_action(void *data)
{
	struct cc_dev *cc = data;

	cc->accepted_in_devres = accepted(cc);
}

/* Whatever unmaps on removal sees the state in which it mapped */
static void cc_remove_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new_added(test, "cc-remove");

	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_ASSERT_EQ(test, 0, bind(cc, &cc_plain));
	KUNIT_ASSERT_EQ(test, 0, devm_add_action(&cc->dev, cc_devres_action, cc));
	cc_del(cc);
	KUNIT_EXPECT_TRUE(test, cc->accepted_in_remove);
	KUNIT_EXPECT_TRUE(test, cc->accepted_in_devres);
	KUNIT_EXPECT_TRUE(test, cc->accepted_in_removed);

	/* still referenced: by this test */
	KUNIT_EXPECT_FALSE(test, accepted(cc));
	KUNIT_EXPECT_EQ(test, -ENODEV, accept(cc));
	KUNIT_EXPECT_EQ(test, 0, reject(cc));
	/* the uevent of the removal says it all */
	KUNIT_EXPECT_EQ(test, 0, cc_uevents[0]);
}

/* Managed resources of a device without a driver go with the device */
static void cc_remove_unbound_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new_added(test, "cc-remove-unbound");

	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_ASSERT_EQ(test, 0, devm_add_action(&cc->dev, cc_devres_action, cc));
	cc_del(cc);
	KUNIT_EXPECT_TRUE(test, cc->accepted_in_devres);
	KUNIT_EXPECT_FALSE(test, accepted(cc));
}

/*
 * The same structure again. device_add() asks not to do this, some do. Such a
 * device can never be probed again, so there is no use in accepting it.
 */
static void cc_readd_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new_added(test, "cc-readd");

	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	cc_del(cc);
	dev_set_name(&cc->dev, "cc-readd");
	KUNIT_ASSERT_EQ(test, 0, cc_add(cc));
	KUNIT_EXPECT_FALSE(test, accepted(cc));
	KUNIT_EXPECT_EQ(test, 0, cc_read_attr(&cc->dev, NULL));
	KUNIT_EXPECT_EQ(test, -ENODEV, accept(cc));
	KUNIT_EXPECT_FALSE(test, accepted(cc));
}

/* Another device in the memory of an accepted one, under its name */
static void cc_reuse_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new_added(test, "cc-reuse");

	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	cc_put(cc);
	cc_init_dev(cc, "cc-reuse");
	KUNIT_EXPECT_FALSE(test, accepted(cc));
	KUNIT_ASSERT_EQ(test, 0, cc_add(cc));
	KUNIT_EXPECT_FALSE(test, accepted(cc));
	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_EXPECT_TRUE(test, accepted(cc));
}

/* A driver that waits does not keep a device from going, and gets the next */
static void cc_remove_waiting_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new(test, "cc-remove-waiting");

	cc->offered = &cc_waiting;
	KUNIT_ASSERT_EQ(test, 0, cc_add(cc));
	KUNIT_EXPECT_TRUE(test, waits(cc));
	cc_put(cc);
	cc_init_dev(cc, "cc-remove-waiting");
	cc->offered = &cc_waiting;
	KUNIT_ASSERT_EQ(test, 0, cc_add(cc));
	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	wait_for_device_probe();
	KUNIT_EXPECT_TRUE(test, bound(cc));
}

static void cc_failed_add_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new_added(test, "cc-twin");
	struct cc_dev *twin = cc_new(test, "cc-twin");

	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_EXPECT_EQ(test, -EEXIST, cc_add(twin));
	KUNIT_EXPECT_FALSE(test, accepted(twin));
	KUNIT_EXPECT_EQ(test, -ENODEV, accept(twin));
	KUNIT_EXPECT_EQ(test, 0, reject(twin));
	KUNIT_EXPECT_TRUE(test, accepted(cc));
}

/* The way down: drivers stay bound, the bus gives back what is accepted */
static void cc_shutdown_test(struct kunit *test)
{
	struct cc_dev *never = cc_new(test, "cc-shutdown-never");
	struct cc_dev *out = cc_new_added(test, "cc-shutdown-out");
	struct cc_dev *busy = cc_new_added(test, "cc-shutdown-busy");
	struct cc_dev *cc = cc_new_added(test, "cc-shutdown");

	KUNIT_EXPECT_EQ(test, 0, accept(out));
	KUNIT_EXPECT_EQ(test, 0, reject(out));
	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_EXPECT_EQ(test, 0, accept(busy));
	KUNIT_ASSERT_EQ(test, 0, bind(busy, &cc_plain));
	cc_down = true;
	shutdown(never);
	shutdown(out);
	shutdown(cc);
	shutdown(busy);

	KUNIT_EXPECT_EQ(test, 0, never->given_back);
	KUNIT_EXPECT_EQ(test, 0, out->given_back);
	KUNIT_EXPECT_EQ(test, 1, cc->given_back);
	KUNIT_EXPECT_EQ(test, 1, busy->given_back);
	KUNIT_EXPECT_EQ(test, 0, cc->gave_wrongly + busy->gave_wrongly);

	KUNIT_EXPECT_FALSE(test, accepted(cc));
	KUNIT_EXPECT_EQ(test, 2, cc_uevents[0]);
	KUNIT_EXPECT_EQ(test, -ESHUTDOWN, accept(cc));
	/* its mappings are still there */
	KUNIT_EXPECT_TRUE(test, accepted(busy));
	KUNIT_EXPECT_EQ(test, -EBUSY, accept(busy));

	/* what is back is not given again */
	shutdown(cc);
	KUNIT_EXPECT_EQ(test, 1, cc->given_back);
}

/* What is not given back is not said to be outside; the way down goes on */
static void cc_shutdown_fails_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new_added(test, "cc-shutdown-fails");
	struct cc_dev *busy = cc_new_added(test, "cc-shutdown-fails-busy");
	struct cc_dev *no_bus = cc_new(test, "cc-shutdown-no-bus");

	no_bus->dev.bus = NULL;
	KUNIT_ASSERT_EQ(test, 0, cc_add(no_bus));
	cc->give_back = -EIO;
	busy->give_back = -EIO;
	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_EXPECT_EQ(test, 0, accept(no_bus));
	KUNIT_EXPECT_EQ(test, 0, accept(busy));
	KUNIT_ASSERT_EQ(test, 0, bind(busy, &cc_plain));
	cc_down = true;
	shutdown(cc);
	shutdown(no_bus);
	shutdown(busy);
	KUNIT_EXPECT_EQ(test, 1, cc->given_back);
	KUNIT_EXPECT_EQ(test, 1, busy->given_back);
	KUNIT_EXPECT_TRUE(test, accepted(cc));
	KUNIT_EXPECT_TRUE(test, accepted(no_bus));
	KUNIT_EXPECT_TRUE(test, accepted(busy));
	KUNIT_EXPECT_EQ(test, 0, cc_uevents[0]);
}

/* In the middle of its removal, which takes the state away itself, and later */
static void cc_shutdown_removed_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new_added(test, "cc-shutdown-removed");

	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_ASSERT_EQ(test, 0, devm_add_action(&cc->dev, cc_devres_action, cc));
	cc_down = true;
	cc->down_in_del = true;
	cc_del(cc);
	KUNIT_EXPECT_EQ(test, 1, cc->given_back);
	KUNIT_EXPECT_TRUE(test, cc->accepted_in_devres);
	KUNIT_EXPECT_FALSE(test, accepted(cc));
	shutdown(cc);
	KUNIT_EXPECT_EQ(test, 1, cc->given_back);
}

/* What user space sees */

static void cc_uevent_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new_added(test, "cc-uevent");

	KUNIT_EXPECT_EQ(test, 0, reject(cc));
	KUNIT_EXPECT_EQ(test, 0, cc_uevents[0]);
	KUNIT_EXPECT_EQ(test, 0, cc_uevents[1]);
	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_EXPECT_EQ(test, 1, cc_uevents[1]);
	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_EXPECT_EQ(test, 1, cc_uevents[1]);
	KUNIT_EXPECT_EQ(test, 0, reject(cc));
	KUNIT_EXPECT_EQ(test, 1, cc_uevents[0]);
	KUNIT_EXPECT_EQ(test, 1, cc_uevents[1]);
}

static void cc_sysfs_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new_added(test, "cc-sysfs");
	struct cc_dev *no_bus = cc_new(test, "cc-sysfs-no-bus");
	umode_t mode = 0;

	KUNIT_EXPECT_EQ(test, 0, cc_read_attr(&cc->dev, &mode));
	KUNIT_EXPECT_EQ(test, 0444, mode & 0777);
	KUNIT_EXPECT_EQ(test, 0, accept(cc));
	KUNIT_EXPECT_EQ(test, 1, cc_read_attr(&cc->dev, NULL));
	KUNIT_EXPECT_EQ(test, 0, reject(cc));
	KUNIT_EXPECT_EQ(test, 0, cc_read_attr(&cc->dev, NULL));

	no_bus->dev.bus = NULL;
	KUNIT_ASSERT_EQ(test, 0, cc_add(no_bus));
	KUNIT_EXPECT_EQ(test, -ENOENT, cc_read_attr(&no_bus->dev, NULL));
	KUNIT_EXPECT_EQ(test, 0, accept(no_bus));
	KUNIT_EXPECT_TRUE(test, accepted(no_bus));
}

/* Transitions against binding: no binding sees the state change */

static int cc_flip(void *data)
{
	struct cc_dev *cc = data;

	for (int i = 0; !kthread_should_stop(); i++) {
		accept(cc);
		/* in each state for once long enough for others to get the lock */
		if (i % 4 == 1)
			usleep_range(10, 100);
		cond_resched();
		reject(cc);
		if (i % 4 == 3)
			usleep_range(10, 100);
		cond_resched();
	}
	return 0;
}

/* Somebody who has nothing to do with the device: KCSAN is to see it all the same */
static int cc_watch(void *data)
{
	while (!kthread_should_stop()) {
		for (int i = 0; i < 100; i++)
			accepted(data);
		cond_resched();
	}
	return 0;
}

static void cc_race_test(struct kunit *test)
{
	struct cc_dev *cc = cc_new_added(test, "cc-race");
	unsigned long enough = jiffies + HZ, end = jiffies + 10 * HZ;
	unsigned int seen[2] = {}, torn = 0;
	struct task_struct *flip, *watch;

	flip = kthread_run(cc_flip, cc, "cc-flip");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, flip);
	watch = kthread_run(cc_watch, cc, "cc-watch");

	while (time_before(jiffies, min(seen[0], seen[1]) < 10 ? end : enough)) {
		bool first;
		int i;

		if (bind(cc, &cc_plain))
			continue;
		first = cc->accepted_in_probe;
		seen[first]++;
		for (i = 0; i < 100; i++)
			torn += accepted(cc) != first;
		unbind(cc);
		/*
		 * The one CPU of a machine may be given to cc_flip() only while
		 * the device is bound, where each transition is refused.
		 */
		if (min(seen[0], seen[1]) < 10)
			usleep_range(10, 100);
		cond_resched();
	}
	kthread_stop(flip);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, watch);
	if (!IS_ERR(watch))
		kthread_stop(watch);

	kunit_info(test, "%u bindings while accepted, %u while not\n",
		   seen[1], seen[0]);
	KUNIT_EXPECT_EQ(test, 0, torn);
	KUNIT_EXPECT_EQ(test, 0, cc->torn);
	KUNIT_EXPECT_GT(test, seen[0], 0);
	KUNIT_EXPECT_GT(test, seen[1], 0);
}

/*
 * Transitions, binding and readers against removal: each device of a row is
 * removed under all of them, who hold on to it for a while.
 */

struct cc_race {
	spinlock_t lock;	/* @cc is there to take a reference of */
	struct cc_dev *cc;
};

struct cc_racer {
	struct cc_race *race;
	void (*act)(struct cc_racer *racer, struct cc_dev *cc);
	struct task_struct *task;
	unsigned int done;
};

static struct cc_dev *cc_race_get(struct cc_race *race)
{
	guard(spinlock)(&race->lock);
	if (race->cc)
		get_device(&race->cc->dev);
	return race->cc;
}

static void cc_race_set(struct cc_race *race, struct cc_dev *cc)
{
	guard(spinlock)(&race->lock);
	race->cc = cc;
}

static int cc_race_run(void *data)
{
	struct cc_racer *racer = data;

	while (!kthread_should_stop()) {
		struct cc_dev *cc = cc_race_get(racer->race);

		if (cc) {
			racer->act(racer, cc);
			put_device(&cc->dev);
		}
		cond_resched();
	}
	return 0;
}

static void cc_race_flip(struct cc_racer *racer, struct cc_dev *cc)
{
	racer->done += !accept(cc);
	cond_resched();
	reject(cc);
}

static void cc_race_bind(struct cc_racer *racer, struct cc_dev *cc)
{
	racer->done += !bind(cc, &cc_plain);
	cond_resched();
	unbind(cc);
}

static void cc_race_read(struct cc_racer *racer, struct cc_dev *cc)
{
	racer->done += accepted(cc);
}

/* Has each of them done something? */
static bool cc_raced(const struct cc_racer *racers, unsigned int count)
{
	while (count--) {
		/* A glance: it does not matter which of its values that is */
		if (!data_race(racers[count].done))
			return false;
	}
	return true;
}

static void cc_race_remove_test(struct kunit *test)
{
	struct cc_race race = {};
	struct cc_racer racers[] = {
		{ &race, cc_race_flip }, { &race, cc_race_bind }, { &race, cc_race_read },
	};
	struct cc_dev *cc = kunit_kzalloc(test, sizeof(*cc), GFP_KERNEL);
	unsigned int devices = 0, torn = 0, left = 0;
	unsigned long end = jiffies + HZ, last = jiffies + 20 * HZ;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, cc);
	spin_lock_init(&race.lock);
	for (i = 0; i < ARRAY_SIZE(racers); i++) {
		racers[i].task = kthread_run(cc_race_run, &racers[i], "cc-race/%d", i);
		if (IS_ERR(racers[i].task)) {
			end = jiffies;
			last = jiffies;
		}
	}

	while (time_before(jiffies, end) ||
	       (time_before(jiffies, last) && !cc_raced(racers, ARRAY_SIZE(racers)))) {
		cc_init_dev(cc, "cc-race-remove");
		/* each other one has a driver that waits, and is woken */
		cc->offered = devices % 2 ? &cc_waiting : NULL;
		if (cc_add(cc))
			break;
		cc_race_set(&race, cc);
		usleep_range(50, 500);
		cc_del(cc);
		left += accepted(cc);
		usleep_range(50, 100);
		left += accepted(cc);
		cc_race_set(&race, NULL);
		put_device(&cc->dev);
		wait_for_completion(&cc->released);
		torn += cc->torn;
		devices++;
	}
	for (i = 0; i < ARRAY_SIZE(racers); i++) {
		if (!IS_ERR(racers[i].task))
			kthread_stop(racers[i].task);
	}

	kunit_info(test, "%u devices removed under %u acceptances, %u bindings, %u readings of accepted\n",
		   devices, racers[0].done, racers[1].done, racers[2].done);
	KUNIT_EXPECT_GT(test, devices, 0);
	KUNIT_EXPECT_TRUE(test, cc_raced(racers, ARRAY_SIZE(racers)));
	/* none was accepted after its removal, no binding saw the state change */
	KUNIT_EXPECT_EQ(test, 0, left);
	KUNIT_EXPECT_EQ(test, 0, torn);
}

static int cc_test_init(struct kunit *test)
{
	cc_down = false;
	memset(cc_uevents, 0, sizeof(cc_uevents));
	kunit_activate_static_stub(test, device_cc_shutting_down, cc_shutting_down_stub);
	return 0;
}

static int cc_suite_init(struct kunit_suite *suite)
{
	int ret, i;

	ret = bus_register(&cc_bus);
	if (ret)
		return ret;
	ret = bus_register_notifier(&cc_bus, &cc_nb);
	for (i = 0; !ret && i < ARRAY_SIZE(cc_drivers); i++)
		ret = driver_register(cc_drivers[i]);
	return ret;
}

static void cc_suite_exit(struct kunit_suite *suite)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(cc_drivers); i++)
		driver_unregister(cc_drivers[i]);
	bus_unregister_notifier(&cc_bus, &cc_nb);
	bus_unregister(&cc_bus);
}

static struct kunit_case cc_cases[] = {
	KUNIT_CASE(cc_key_test),
	KUNIT_CASE(cc_accept_test),
	KUNIT_CASE(cc_accept_busy_test),
	KUNIT_CASE(cc_accept_nodev_test),
	KUNIT_CASE(cc_accept_shutdown_test),
	KUNIT_CASE(cc_reject_test),
	KUNIT_CASE(cc_reject_busy_test),
	KUNIT_CASE(cc_accepted_test),
	KUNIT_CASE(cc_probe_test),
	KUNIT_CASE(cc_lock_test),
	KUNIT_CASE(cc_wake_sync_test),
	KUNIT_CASE(cc_wake_async_test),
	KUNIT_CASE(cc_wake_driver_test),
	KUNIT_CASE(cc_wake_bind_test),
	KUNIT_CASE(cc_accepted_first_test),
	KUNIT_CASE(cc_remove_test),
	KUNIT_CASE(cc_remove_unbound_test),
	KUNIT_CASE(cc_readd_test),
	KUNIT_CASE(cc_reuse_test),
	KUNIT_CASE(cc_remove_waiting_test),
	KUNIT_CASE(cc_failed_add_test),
	KUNIT_CASE(cc_shutdown_test),
	KUNIT_CASE(cc_shutdown_fails_test),
	KUNIT_CASE(cc_shutdown_removed_test),
	KUNIT_CASE(cc_uevent_test),
	KUNIT_CASE(cc_sysfs_test),
	KUNIT_CASE_SLOW(cc_race_test),
	KUNIT_CASE_SLOW(cc_race_remove_test),
	{}
};

static struct kunit_suite cc_suite = {
	.name = "confidential-device",
	.init = cc_test_init,
	.suite_init = cc_suite_init,
	.suite_exit = cc_suite_exit,
	.test_cases = cc_cases,
};

kunit_test_suite(cc_suite);
