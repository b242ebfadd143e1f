// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of tpm_crb_ffa: when a TPM behind FF-A may be probed, and what the
 * TPM service is asked. The service is a device on the real FF-A bus, whose
 * messages end here.
 */

#include <kunit/platform_device.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>

#include <linux/arm_ffa.h>
#include <linux/device.h>
#include <linux/notifier.h>
#include <linux/platform_device.h>
#include <linux/sched.h>
#include <linux/uuid.h>

#include "tpm_crb_ffa.h"

#define GET_INTERFACE_VERSION	0x0f000001
#define START			0x0f000201
#define OK			0x05000001
#define OK_RESULTS_RETURNED	0x05000002

/* What the service is, and what it was asked last */
static struct {
	u32 version;
	int busy;		/* that many calls at first */
	bool no_req2;		/* on the way to it */
	u32 status;		/* of START */
	int calls;
	unsigned long args[3];
} service;

static unsigned long answer(unsigned long func, unsigned long *result)
{
	*result = 0;
	switch (func) {
	case GET_INTERFACE_VERSION:
		*result = service.version;
		return OK_RESULTS_RETURNED;
	case START:
		return service.status;
	default:
		return 0x8e000001;
	}
}

static int direct_req(struct ffa_device *dev, struct ffa_send_direct_data *data)
{
	service.calls++;
	if (service.busy && service.busy--)
		return -EBUSY;
	service.args[0] = data->data1;
	service.args[1] = data->data2;
	service.args[2] = data->data3;
	data->data1 = answer(data->data1, &data->data2);
	return 0;
}

static int direct_req2(struct ffa_device *dev, struct ffa_send_direct_data2 *data)
{
	if (service.no_req2)
		return -EOPNOTSUPP;
	service.calls++;
	if (service.busy && service.busy--)
		return -EBUSY;
	memcpy(service.args, data->data, sizeof(service.args));
	data->data[0] = answer(data->data[0], &data->data[1]);
	return 0;
}

static void mode_32bit_set(struct ffa_device *dev)
{
	dev->mode_32bit = true;
}

static const struct ffa_msg_ops msg_ops = {
	.mode_32bit_set = mode_32bit_set,
	.sync_send_receive = direct_req,
	.sync_send_receive2 = direct_req2,
};

static const struct ffa_ops ops = { .msg_ops = &msg_ops };

static struct ffa_partition_info partition = {
	.id = 0x7fff,
	.uuid = UUID_INIT(0x17b862a4, 0x1806, 0x4faf,
			  0x86, 0xb3, 0x08, 0x9a, 0x58, 0x35, 0x38, 0x61),
};

static int is_service(struct device *dev, const void *unused)
{
	return uuid_equal(&to_ffa_dev(dev)->uuid, &partition.uuid);
}

static void remove_service(void *dev)
{
	ffa_device_unregister(dev);
}

static struct ffa_device *add_service(struct kunit *test)
{
	struct ffa_device *dev = ffa_device_register(&partition, &ops, NULL);

	KUNIT_ASSERT_NOT_NULL(test, dev);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, remove_service, dev), 0);
	return dev;
}

/* The FF-A core, as far as the TPM can tell */
static int core_state;

static int fake_link_consumer(struct device *consumer)
{
	return core_state;
}

/* The TPM: a device whose probe is what tpm_crb's begins with */
static struct kunit *running;
static int init_result;

static int consumer_probe(struct platform_device *pdev)
{
	struct kunit *test = current->kunit_test;

	/* Stubs are those of a thread, and this may be one of a workqueue. */
	current->kunit_test = running;
	WRITE_ONCE(init_result, tpm_crb_ffa_init(&pdev->dev));
	current->kunit_test = test;
	return init_result;
}

static struct platform_driver consumer_driver = {
	.probe = consumer_probe,
	.driver = {
		.name = "tpm-crb-ffa-test",
		.probe_type = PROBE_FORCE_SYNCHRONOUS,
	},
};

static struct platform_device *add_consumer(struct kunit *test)
{
	struct platform_device *pdev;

	pdev = kunit_platform_device_alloc(test, "tpm-crb-ffa-test", PLATFORM_DEVID_NONE);
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	KUNIT_ASSERT_EQ(test, kunit_platform_device_add(test, pdev), 0);
	return pdev;
}

static bool bound(struct platform_device *pdev)
{
	guard(device)(&pdev->dev);
	return device_is_bound(&pdev->dev);
}

static void probe_again(struct kunit *test, struct platform_device *pdev)
{
	KUNIT_ASSERT_GE(test, device_attach(&pdev->dev), 0);
}

/* Both versions of the direct request, and a service of 32 bits */
static void service_answers(struct kunit *test)
{
	static const u32 properties[] = {
		FFA_PARTITION_AARCH64_EXEC | FFA_PARTITION_DIRECT_RECV,
		FFA_PARTITION_AARCH64_EXEC | FFA_PARTITION_DIRECT_REQ2_RECV,
		FFA_PARTITION_DIRECT_RECV,
	};
	struct platform_device *pdev = add_consumer(test);
	int i;

	for (i = 0; i < ARRAY_SIZE(properties); i++) {
		struct ffa_device *dev;

		partition.properties = properties[i];
		dev = add_service(test);
		probe_again(test, pdev);
		KUNIT_EXPECT_TRUE(test, bound(pdev));
		KUNIT_EXPECT_EQ(test, dev->mode_32bit,
				!(properties[i] & FFA_PARTITION_AARCH64_EXEC));

		KUNIT_EXPECT_EQ(test, tpm_crb_ffa_start(CRB_FFA_START_TYPE_LOCALITY_REQUEST, 3), 0);
		KUNIT_EXPECT_EQ(test, service.args[0], START);
		KUNIT_EXPECT_EQ(test, service.args[1], CRB_FFA_START_TYPE_LOCALITY_REQUEST);
		KUNIT_EXPECT_EQ(test, service.args[2], 3);
		kunit_release_action(test, remove_service, dev);
	}
}

/* Both the service takes, but a hypervisor passes only the first one on. */
static void service_behind_a_hypervisor(struct kunit *test)
{
	partition.properties |= FFA_PARTITION_DIRECT_REQ2_RECV;
	service.no_req2 = true;
	add_service(test);
	KUNIT_ASSERT_TRUE(test, bound(add_consumer(test)));
	KUNIT_EXPECT_EQ(test, tpm_crb_ffa_start(CRB_FFA_START_TYPE_COMMAND, 1), 0);
	KUNIT_EXPECT_EQ(test, service.args[2], 1);
}

static void service_refuses(struct kunit *test)
{
	static const struct {
		u32 status;
		int error;
	} refusals[] = {
		{ 0x8e000001, -ENOENT }, { 0x8e000002, -EPERM },
		{ 0x8e000005, -EINVAL }, { 0x8e000006, -ENOEXEC },
		{ 0x8e000009, -EEXIST }, { 0x8e00000a, -EACCES },
		{ 0x8e00000b, -ENOMEM }, { 0, -EINVAL },
	};
	int i;

	add_service(test);
	KUNIT_ASSERT_TRUE(test, bound(add_consumer(test)));
	for (i = 0; i < ARRAY_SIZE(refusals); i++) {
		service.status = refusals[i].status;
		KUNIT_EXPECT_EQ(test, tpm_crb_ffa_start(CRB_FFA_START_TYPE_COMMAND, 0),
				refusals[i].error);
	}
}

static void service_busy(struct kunit *test)
{
	service.busy = 20;
	add_service(test);
	KUNIT_EXPECT_TRUE(test, bound(add_consumer(test)));
	KUNIT_EXPECT_EQ(test, service.calls, 21);
}

/* The machine goes on without the TPM: no hang, no deferral for ever. */
static void service_busy_for_ever(struct kunit *test)
{
	service.busy = INT_MAX;
	add_service(test);
	KUNIT_EXPECT_FALSE(test, bound(add_consumer(test)));
	KUNIT_EXPECT_EQ(test, init_result, -ENODEV);
}

static void service_of_another_version(struct kunit *test)
{
	service.version = 2 << 16;
	add_service(test);
	KUNIT_EXPECT_FALSE(test, bound(add_consumer(test)));
	KUNIT_EXPECT_EQ(test, init_result, -ENODEV);
}

static void service_of_a_later_minor(struct kunit *test)
{
	service.version = 1 << 16 | 7;
	add_service(test);
	KUNIT_EXPECT_TRUE(test, bound(add_consumer(test)));
}

static void service_without_direct_requests(struct kunit *test)
{
	partition.properties = FFA_PARTITION_AARCH64_EXEC;
	add_service(test);
	KUNIT_EXPECT_FALSE(test, bound(add_consumer(test)));
	KUNIT_EXPECT_EQ(test, init_result, -ENODEV);
	KUNIT_EXPECT_EQ(test, service.calls, 0);
}

static void service_absent_then_there(struct kunit *test)
{
	struct platform_device *pdev = add_consumer(test);

	KUNIT_EXPECT_EQ(test, init_result, -ENODEV);
	KUNIT_EXPECT_FALSE(test, bound(pdev));

	add_service(test);
	probe_again(test, pdev);
	KUNIT_EXPECT_TRUE(test, bound(pdev));
}

/* The FF-A core is not ready, then it is: nobody else has to do anything. */
static void core_not_ready(struct kunit *test)
{
	struct platform_device *pdev;

	core_state = -EPROBE_DEFER;
	pdev = add_consumer(test);
	KUNIT_EXPECT_EQ(test, init_result, -EPROBE_DEFER);

	core_state = 0;
	/* The service is bound while the TPM waits: that has it probed again. */
	add_service(test);
	driver_deferred_probe_settle();
	KUNIT_EXPECT_TRUE(test, bound(pdev));
}

static void core_missing(struct kunit *test)
{
	core_state = -ENODEV;
	add_consumer(test);
	KUNIT_EXPECT_EQ(test, init_result, -ENODEV);
}

/* The TPM goes before its service, and comes back with it. */
static void service_unbound_and_bound(struct kunit *test)
{
	struct ffa_device *dev = add_service(test);
	struct platform_device *pdev = add_consumer(test);

	KUNIT_ASSERT_TRUE(test, bound(pdev));

	device_release_driver(&dev->dev);
	KUNIT_EXPECT_FALSE(test, bound(pdev));
	KUNIT_EXPECT_EQ(test, tpm_crb_ffa_start(CRB_FFA_START_TYPE_COMMAND, 0), -ENOENT);

	KUNIT_EXPECT_EQ(test, device_attach(&dev->dev), 1);
	driver_deferred_probe_settle();
	KUNIT_EXPECT_TRUE(test, bound(pdev));
}

/* The TPM's probe comes when nothing would unbind the TPM any more. */
static struct platform_device *latecomer;

static int probe_latecomer(struct notifier_block *nb, unsigned long action, void *dev)
{
	if (action == BUS_NOTIFY_UNBIND_DRIVER && is_service(dev, NULL))
		KUNIT_EXPECT_GE(running, device_attach(&latecomer->dev), 0);
	return NOTIFY_DONE;
}

static void service_being_unbound(struct kunit *test)
{
	struct notifier_block nb = { .notifier_call = probe_latecomer };
	struct ffa_device *dev;

	latecomer = add_consumer(test);
	dev = add_service(test);
	KUNIT_ASSERT_FALSE(test, bound(latecomer));

	KUNIT_ASSERT_EQ(test, bus_register_notifier(&ffa_bus_type, &nb), 0);
	device_release_driver(&dev->dev);
	bus_unregister_notifier(&ffa_bus_type, &nb);
	KUNIT_EXPECT_EQ(test, init_result, -EPROBE_DEFER);
	KUNIT_EXPECT_FALSE(test, bound(latecomer));

	KUNIT_EXPECT_EQ(test, device_attach(&dev->dev), 1);
	driver_deferred_probe_settle();
	KUNIT_EXPECT_TRUE(test, bound(latecomer));
}

static void service_removed(struct kunit *test)
{
	struct ffa_device *dev = add_service(test);
	struct platform_device *pdev = add_consumer(test);

	KUNIT_ASSERT_TRUE(test, bound(pdev));
	kunit_release_action(test, remove_service, dev);
	KUNIT_EXPECT_FALSE(test, bound(pdev));
}

static void only_one_service(struct kunit *test)
{
	struct ffa_device *second;

	add_service(test);
	second = add_service(test);
	KUNIT_EXPECT_NULL(test, second->dev.driver);
	kunit_release_action(test, remove_service, second);
	/* The first one is as it was. */
	KUNIT_EXPECT_TRUE(test, bound(add_consumer(test)));
}

static int tpm_crb_ffa_test_init(struct kunit *test)
{
	memset(&service, 0, sizeof(service));
	service.version = 1 << 16;
	service.status = OK;
	partition.properties = FFA_PARTITION_AARCH64_EXEC | FFA_PARTITION_DIRECT_RECV;
	core_state = 0;
	init_result = 1;
	running = test;
	kunit_activate_static_stub(test, ffa_link_consumer, fake_link_consumer);
	return 0;
}

/* A machine that has the real thing can have no other: that one is in use. */
static int tpm_crb_ffa_suite_init(struct kunit_suite *suite)
{
	struct device *dev = bus_find_device(&ffa_bus_type, NULL, NULL, is_service);

	if (dev) {
		put_device(dev);
		pr_info("tpm_crb_ffa: not tested, this machine has a TPM service\n");
		return -EBUSY;
	}
	return platform_driver_register(&consumer_driver);
}

static void tpm_crb_ffa_suite_exit(struct kunit_suite *suite)
{
	if (!suite->suite_init_err)
		platform_driver_unregister(&consumer_driver);
}

static struct kunit_case tpm_crb_ffa_cases[] = {
	KUNIT_CASE(service_answers),
	KUNIT_CASE(service_behind_a_hypervisor),
	KUNIT_CASE(service_refuses),
	KUNIT_CASE(service_busy),
	KUNIT_CASE_SLOW(service_busy_for_ever),
	KUNIT_CASE(service_of_another_version),
	KUNIT_CASE(service_of_a_later_minor),
	KUNIT_CASE(service_without_direct_requests),
	KUNIT_CASE(service_absent_then_there),
	KUNIT_CASE(core_not_ready),
	KUNIT_CASE(core_missing),
	KUNIT_CASE(service_unbound_and_bound),
	KUNIT_CASE(service_being_unbound),
	KUNIT_CASE(service_removed),
	KUNIT_CASE(only_one_service),
	{}
};

static struct kunit_suite tpm_crb_ffa_suite = {
	.name = "tpm_crb_ffa",
	.suite_init = tpm_crb_ffa_suite_init,
	.suite_exit = tpm_crb_ffa_suite_exit,
	.init = tpm_crb_ffa_test_init,
	.test_cases = tpm_crb_ffa_cases,
};

kunit_test_suite(tpm_crb_ffa_suite);

MODULE_DESCRIPTION("KUnit tests of the TPM service over FF-A");
MODULE_LICENSE("GPL");
