// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every sequence of calls on a confidential device up to a length, against a
 * model.
 *
 * There is no way to undo a call, so each sequence of the full length is made
 * from its beginning, on a device of its own; what is compared after each call
 * covers the shorter ones that it begins with.
 *
 * A call that nobody can make (to add what is added, to remove or bind what is
 * not) is left out. A sequence with such a call therefore is the shorter one
 * without it, and is counted, not made again. No other two are taken for the
 * same, however equal the state looks that they lead to.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>

#include <linux/completion.h>
#include <linux/device.h>
#include <linux/device/confidential.h>
#include <linux/minmax.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/sysfs.h>

#include "../base.h"
#include "confidential-test.h"

#define CC_MIN_LENGTH	2
#define CC_MAX_LENGTH	9

static unsigned int length = 5;
module_param(length, uint, 0444);
MODULE_PARM_DESC(length, "Longest sequence of calls, 2 to 9 (default 5)");

enum cc_call { ADD, BIND, UNBIND, ACCEPT, REJECT, CC_PROBE, REMOVE, SHUTDOWN, NR_CALLS };

static const char * const cc_names[NR_CALLS] = {
	"add", "bind", "unbind", "accept", "reject", "cc_probe", "remove", "shutdown"
};

/* No kernel function returns it: nobody can make this call here */
#define CC_NEVER	1

/**
 * struct cc_seen - what can be seen of a device, by the kernel and by users
 * @accepted: answer of device_cc_accepted()
 * @attr: the attribute reads 1
 * @bound: there is a driver
 * @waiting: the device is on the list of deferred probes
 * @uevents: with CC_ACCEPTED=0 and =1
 * @probed: drivers that began while the device was not accepted, and was
 * @removed: drivers that ended while the device was not accepted, and was
 * @given_back: times that the bus was to give the device back, without a driver
 *		bound, and with one
 *
 * All of one byte, so that there is no padding between them.
 */
struct cc_seen {
	bool accepted, attr, bound, waiting;
	u8 uevents[2], probed[2], removed[2], given_back[2];
};

/**
 * struct cc_model - what is to be seen of a device
 * @life: where it is in it
 * @down: the system is going down
 * @seen: what is to be seen
 */
struct cc_model {
	enum { NEW, ADDED, REMOVED } life;
	bool down;
	struct cc_seen seen;
};

/**
 * struct cc_dev - a device on the test bus
 * @dev: the device
 * @offered: the driver that the bus matches it with, if any
 * @released: completed by the release of @dev; its memory belongs to the test
 */
struct cc_dev {
	struct device dev;
	struct device_driver *offered;
	struct completion released;
};

#define to_cc_dev(d) container_of(d, struct cc_dev, dev)

/* What the bus and its drivers saw of the one device; cleared for each sequence */
static struct cc_seen cc_saw;

/* What the stub of device_cc_shutting_down() answers */
static bool cc_down;

/* Of all cases of the suite */
static struct {
	unsigned long made, equal, runs;
} cc_count;

/* The model: what a call is to return, and what it makes of a device */

static void cc_model_bind(struct cc_seen *s)
{
	s->bound = true;
	s->waiting = false;
	s->probed[s->accepted]++;
}

static void cc_model_unbind(struct cc_seen *s)
{
	s->removed[s->accepted] += s->bound;
	s->bound = false;
}

static int cc_model_reject(struct cc_seen *s)
{
	if (s->bound)
		return -EBUSY;
	s->uevents[0] += s->accepted;
	s->accepted = false;
	return 0;
}

static int cc_model(struct cc_model *m, enum cc_call call)
{
	bool added = m->life == ADDED;
	struct cc_seen *s = &m->seen;

	switch (call) {
	case ADD:
		if (added)
			return CC_NEVER;
		m->life = ADDED;
		return 0;
	case BIND:
		if (m->life == NEW)
			return CC_NEVER;
		if (!added)
			return -ENODEV;
		if (s->bound)
			return -EBUSY;
		cc_model_bind(s);
		return 0;
	case UNBIND:
		cc_model_unbind(s);
		return 0;
	case ACCEPT:
		if (!added)
			return -ENODEV;
		if (s->bound)
			return -EBUSY;
		if (m->down)
			return -ESHUTDOWN;
		s->uevents[1] += !s->accepted;
		s->accepted = true;
		if (s->waiting)
			cc_model_bind(s);
		return 0;
	case REJECT:
		return cc_model_reject(s);
	case CC_PROBE:
		if (!added)
			return -EINVAL;
		if (s->bound)
			return -EBUSY;
		if (s->accepted)
			cc_model_bind(s);
		else
			s->waiting = true;
		return s->bound ? 0 : -EAGAIN;
	case REMOVE:
		if (!added)
			return CC_NEVER;
		cc_model_unbind(s);
		m->life = REMOVED;
		s->accepted = false;
		s->waiting = false;
		return 0;
	case SHUTDOWN:
		m->down = true;
		s->given_back[s->bound] += s->accepted;
		cc_model_reject(s);
		return 0;
	default:
		return CC_NEVER;
	}
}

/* The kernel: a bus, and two drivers on it */

static int cc_match(struct device *dev, const struct device_driver *drv)
{
	return to_cc_dev(dev)->offered == drv;
}

static int cc_uevent(const struct device *dev, struct kobj_uevent_env *env)
{
	int accepted = cc_test_uevent(env);

	if (accepted >= 0)
		cc_saw.uevents[accepted]++;
	return 0;
}

static int cc_give_back(struct device *dev)
{
	cc_saw.given_back[!!dev->driver]++;
	return 0;
}

static const struct bus_type cc_bus = {
	.name = "cc-sequence",
	.match = cc_match,
	.uevent = cc_uevent,
	.cc_shutdown = cc_give_back,
};

static int cc_probe(struct device *dev)
{
	cc_saw.probed[device_cc_accepted(dev)]++;
	return 0;
}

static int cc_probe_waiting(struct device *dev)
{
	int ret = device_cc_probe(dev);

	return ret ?: cc_probe(dev);
}

static int cc_remove(struct device *dev)
{
	cc_saw.removed[device_cc_accepted(dev)]++;
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

static void cc_release(struct device *dev)
{
	complete(&to_cc_dev(dev)->released);
}

/* Make @cc's memory a device that is initialized, and not added */
static void cc_init(struct cc_dev *cc)
{
	memset(cc, 0, sizeof(*cc));
	init_completion(&cc->released);
	device_initialize(&cc->dev);
	cc->dev.bus = &cc_bus;
	cc->dev.release = cc_release;
	dev_set_name(&cc->dev, "cc-sequence");
}

static void cc_put(struct cc_dev *cc)
{
	put_device(&cc->dev);
	wait_for_completion(&cc->released);
}

/* The kernel's side of cc_model(), which has said that the call can be made */
static int cc_kernel(struct cc_dev *cc, const struct cc_model *before, enum cc_call call)
{
	struct device *dev = &cc->dev;

	switch (call) {
	case ADD:
		if (before->life == REMOVED) {
			/* the successor: same memory, same name */
			cc_put(cc);
			cc_init(cc);
		}
		return device_add(dev);
	case BIND:
		return device_driver_attach(&cc_plain, dev);
	case UNBIND:
		device_release_driver(dev);
		return 0;
	case ACCEPT:
		return cc_test_accept(dev);
	case REJECT:
		return cc_test_reject(dev);
	case CC_PROBE: {
		if (before->life == ADDED) {
			cc->offered = &cc_waiting;
			return device_driver_attach(&cc_waiting, dev);
		}
		guard(device)(dev);
		return device_cc_probe(dev);
	}
	case REMOVE:
		device_del(dev);
		return 0;
	case SHUTDOWN:
		/* what device_shutdown() does with each device, there or going */
		cc_down = true;
		scoped_guard(device, dev)
			device_cc_shutdown(dev);
		return 0;
	default:
		return CC_NEVER;
	}
}

/* What user space reads */
static bool cc_attr(struct device *dev)
{
	struct kernfs_node *kn = sysfs_get_dirent(dev->kobj.sd, "cc_accepted");
	struct device_attribute *attr;
	bool ret = false;
	char *buf;

	if (!kn)
		return false;
	buf = (char *)get_zeroed_page(GFP_KERNEL);
	if (buf) {
		attr = container_of((struct attribute *)kn->priv,
				    struct device_attribute, attr);
		ret = attr->show(dev, attr, buf) == 2 && !strcmp(buf, "1\n");
		free_page((unsigned long)buf);
	}
	sysfs_put(kn);
	return ret;
}

static void cc_look(struct cc_dev *cc, struct cc_seen *seen)
{
	struct device *dev = &cc->dev;

	*seen = cc_saw;
	seen->accepted = device_cc_accepted(dev);
	scoped_guard(device, dev)
		seen->bound = dev->driver;
	seen->waiting = dev->p && !list_empty(&dev->p->deferred_probe);
	seen->attr = device_is_registered(dev) && cc_attr(dev);
}

static void cc_disagree(struct kunit *test, const u8 *calls, int last, int want, int got,
			const struct cc_seen *model, const struct cc_seen *kernel)
{
	char text[CC_MAX_LENGTH * 10] = "";
	int i, n = 0;

	for (i = 0; i <= last; i++)
		n += scnprintf(text + n, sizeof(text) - n, " %s", cc_names[calls[i]]);
	KUNIT_FAIL(test, "after%s\nmodel:  %d, %*ph\nkernel: %d, %*ph", text,
		   want, (int)sizeof(*model), model, got, (int)sizeof(*kernel), kernel);
}

/*
 * Make @calls up to the first that nobody can make; returns how many were made,
 * or -1 where kernel and model disagree.
 */
static int cc_run(struct kunit *test, struct cc_dev *cc, const u8 *calls, int len)
{
	struct cc_model m = {};
	int i;

	cc_down = false;
	memset(&cc_saw, 0, sizeof(cc_saw));
	cc_init(cc);

	for (i = 0; i < len; i++) {
		struct cc_model before = m;
		int want = cc_model(&m, calls[i]), got;
		struct cc_seen seen;

		if (want == CC_NEVER)
			break;
		m.seen.attr = m.seen.accepted;
		got = cc_kernel(cc, &before, calls[i]);
		/* acceptance wakes a driver that waits, in a workqueue */
		wait_for_device_probe();
		cc_look(cc, &seen);
		if (got != want || memcmp(&seen, &m.seen, sizeof(seen))) {
			cc_disagree(test, calls, i, want, got, &m.seen, &seen);
			i = -1;
			break;
		}
	}
	if (device_is_registered(&cc->dev))
		device_del(&cc->dev);
	cc_put(cc);
	return i;
}

/* A sequence, and all that extend it by up to @more calls */
static unsigned long cc_extensions(int more)
{
	unsigned long sum = 1;

	while (more-- > 0)
		sum = sum * NR_CALLS + 1;
	return sum;
}

/*
 * One case for each two first calls: none then takes so long that the one who
 * waits for it counts as hung.
 */
static const void *cc_starts(struct kunit *test, const void *prev, char *desc)
{
	unsigned long n = (unsigned long)prev;

	if (n == NR_CALLS * NR_CALLS)
		return NULL;
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s %s", cc_names[n / NR_CALLS],
		 cc_names[n % NR_CALLS]);
	return (void *)(n + 1);
}

static void cc_sequence_test(struct kunit *test)
{
	unsigned long start = (unsigned long)test->param_value - 1;
	struct cc_dev *cc = kunit_kzalloc(test, sizeof(*cc), GFP_KERNEL);
	int len = clamp(length, CC_MIN_LENGTH, CC_MAX_LENGTH);
	u8 calls[CC_MAX_LENGTH] = { start / NR_CALLS, start % NR_CALLS };
	/* the first call alone counts with the first of its cases */
	int pos = calls[1] ? 1 : 0;

	KUNIT_ASSERT_NOT_NULL(test, cc);

	while (true) {
		int made = cc_run(test, cc, calls, len);

		if (made < 0)
			return;
		cc_count.runs++;
		/* what comes before pos was counted with an earlier run */
		cc_count.made += max(made - pos, 0);
		if (made < len)
			cc_count.equal += cc_extensions(len - max(made, 1) - 1);
		if (!made && !pos)
			cc_count.equal++;

		/* the next one in order, past all that begin as this one ended */
		pos = min(made, len - 1);
		while (pos >= 2 && ++calls[pos] == NR_CALLS)
			pos--;
		if (pos < 2)
			return;
		memset(calls + pos + 1, 0, len - pos - 1);
		cond_resched();
	}
}

/* None was left out: there are 8 + 8^2 + ... of them */
static void cc_all_test(struct kunit *test)
{
	int i, len = clamp(length, CC_MIN_LENGTH, CC_MAX_LENGTH);
	unsigned long all = 0, power = 1;

	for (i = 0; i < len; i++)
		all += power *= NR_CALLS;
	kunit_info(test, "%lu sequences of up to %d calls: %lu made, in %lu runs, %lu equal to those\n",
		   cc_count.made + cc_count.equal, len, cc_count.made, cc_count.runs,
		   cc_count.equal);
	KUNIT_EXPECT_EQ(test, all, cc_count.made + cc_count.equal);
}

static bool cc_shutting_down_stub(void)
{
	return cc_down;
}

static int cc_test_init(struct kunit *test)
{
	kunit_activate_static_stub(test, device_cc_shutting_down, cc_shutting_down_stub);
	return 0;
}

static int cc_suite_init(struct kunit_suite *suite)
{
	int ret;

	memset(&cc_count, 0, sizeof(cc_count));
	ret = bus_register(&cc_bus);
	if (ret)
		return ret;
	ret = driver_register(&cc_plain);
	if (!ret) {
		ret = driver_register(&cc_waiting);
		if (!ret)
			return 0;
		driver_unregister(&cc_plain);
	}
	bus_unregister(&cc_bus);
	return ret;
}

static void cc_suite_exit(struct kunit_suite *suite)
{
	driver_unregister(&cc_waiting);
	driver_unregister(&cc_plain);
	bus_unregister(&cc_bus);
}

static struct kunit_case cc_cases[] = {
	KUNIT_CASE_PARAM_ATTR(cc_sequence_test, cc_starts, { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE(cc_all_test),
	{}
};

static struct kunit_suite cc_suite = {
	.name = "confidential-sequence",
	.init = cc_test_init,
	.suite_init = cc_suite_init,
	.suite_exit = cc_suite_exit,
	.test_cases = cc_cases,
};

kunit_test_suite(cc_suite);
