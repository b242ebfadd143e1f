// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls of the TPM service over FF-A that no driver would make: lab-only.
 *
 * Loading this module makes them; its last line in the kernel's log tells "fine"
 * or "failed". First each function is called as DEN0138 has it, with the answer it must
 * give; then come as many random calls as were asked for, while a second CPU
 * writes into the memory that the service reads; and in the end the TPM must
 * execute a command as if nothing had been. The numbers come from the seed, so
 * that a seed repeats the calls, not the races.
 *
 * It takes the FF-A device of the service, so tpm_crb_ffa must not be loaded.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/arm-smccc.h>
#include <linux/arm_ffa.h>
#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/unaligned.h>

static unsigned int calls = 1000;
module_param(calls, uint, 0444);
MODULE_PARM_DESC(calls, "Random calls");

static ulong seed = 1;
module_param(seed, ulong, 0444);
MODULE_PARM_DESC(seed, "Where the random numbers begin");

static ulong base = 0x4e000000;
module_param(base, ulong, 0444);
MODULE_PARM_DESC(base, "Physical address of the CRB of locality 0");

#define PAGE		0x1000
#define LOCALITIES	5
#define LOC_STATE	0x00
#define LOC_CTRL	0x08
#define CTRL_REQ	0x40
#define CTRL_STS	0x44
#define CTRL_CANCEL	0x48
#define CTRL_START	0x4c
#define BUFFER		0x80

#define FN_VERSION	0x0f000001
#define FN_FEATURE	0x0f000101
#define FN_START	0x0f000201
#define FN_REGISTER	0x0f000301
#define FN_UNREGISTER	0x0f000401
#define FN_FINISH	0x0f000501
#define FN_MANAGE	0x1f000001

#define OK		0x05000001
#define OK_RESULTS	0x05000002
#define NOFUNC		0x8e000001
#define NOTSUP		0x8e000002
#define INVARG		0x8e000005
#define INV_CRB_DATA	0x8e000006
#define DENIED		0x8e00000a

/* What is no word of the service: FFA_ERROR with FF-A's status */
#define FFA_ERR(status)	(0xffff0000 | ((status) & 0xffff))
#define FFA_INVALID	FFA_ERR(-2)
#define FFA_BUSY	FFA_ERR(-4)
#define FFA_NOT_RUN	FFA_ERR(-6)

static u8 __iomem *crb;
static u16 partition;
static struct rnd_state rnd;

static u32 random(void)
{
	return prandom_u32_state(&rnd);
}

static bool one_in(u32 n)
{
	return !(random() % n);
}

/* One of a few that mean something, or any number */
#define pick(...)							\
({									\
	static const u32 some[] = { __VA_ARGS__ };			\
									\
	one_in(8) ? random() : some[random() % ARRAY_SIZE(some)];	\
})

/**
 * call() - Call the service
 * @in: registers as the service's partition is to get them
 * @out: registers that came back
 * @patience: how many times to come back to a call that is not done
 *
 * Return: the service's status, or FFA_ERR() with FF-A's, or 0 if the call is
 * not done.
 */
static u32 call(const struct arm_smccc_1_2_regs *in,
		struct arm_smccc_1_2_regs *out, unsigned int patience)
{
	struct arm_smccc_1_2_regs run = { .a0 = FFA_RUN };

	arm_smccc_1_2_smc(in, out);
	while (out->a0 == FFA_INTERRUPT || out->a0 == FFA_YIELD) {
		if (!patience--)
			return 0;
		if (out->a0 == FFA_YIELD)
			usleep_range(100, 200);
		run.a1 = out->a1;
		arm_smccc_1_2_smc(&run, out);
	}

	if (out->a0 == FFA_ERROR)
		return FFA_ERR((s32)out->a2);
	if (out->a0 != FFA_MSG_SEND_DIRECT_RESP &&
	    out->a0 != FFA_FN64_MSG_SEND_DIRECT_RESP &&
	    out->a0 != FFA_MSG_SEND_DIRECT_RESP2)
		return 0xffffffff;

	return out->a4;
}

/* The service's UUID as direct request 2 has it, x2 and x3 */
#define UUID_LO		0xaf4f0618a462b817
#define UUID_HI		0x613835589a08b386

static const u32 conduits[] = {
	FFA_MSG_SEND_DIRECT_REQ, FFA_FN64_MSG_SEND_DIRECT_REQ,
	FFA_MSG_SEND_DIRECT_REQ2,
};

/* A call as a driver would make it, which waits for a busy service */
static u32 proper_call(u32 conduit, u32 fn, u32 a5, u32 a6, u32 a7, u32 *value)
{
	struct arm_smccc_1_2_regs in = {
		.a0 = conduit, .a1 = partition,
		.a4 = fn, .a5 = a5, .a6 = a6, .a7 = a7,
	}, out;
	unsigned int tries;
	u32 status;

	if (conduit == FFA_MSG_SEND_DIRECT_REQ2) {
		in.a2 = UUID_LO;
		in.a3 = UUID_HI;
	}

	for (tries = 0; tries < 50; tries++) {
		status = call(&in, &out, UINT_MAX);
		if (status != FFA_BUSY)
			break;
		msleep(100);
	}
	if (value)
		*value = out.a5;

	return status;
}

static int expect(const char *what, u32 status, u32 wanted)
{
	if (status == wanted)
		return 0;

	pr_err("%s: %#x, not %#x\n", what, status, wanted);

	return -EPROTO;
}

static u32 start(u32 conduit, u32 qualifier, u32 locality, u32 reg, u32 value)
{
	iowrite32(value, crb + locality * PAGE + reg);

	return proper_call(conduit, FN_START, qualifier, locality, 0, NULL);
}

static u32 code_of(const u8 *response)
{
	return get_unaligned_be32(response + 6);
}

/* Have a command executed at a locality that is ready; the response's code */
static int command(u32 conduit, u32 locality, const u8 *cmd, size_t len,
		   u32 *code)
{
	u8 __iomem *page = crb + locality * PAGE;
	u8 response[12];
	int err;

	memcpy_toio(page + BUFFER, cmd, len);
	iowrite32(0, page + CTRL_CANCEL);
	err = expect("command", start(conduit, 0, locality, CTRL_START, 1), OK);
	if (err)
		return err;

	err = expect("start", ioread32(page + CTRL_START), 0) ?:
	      expect("status", ioread32(page + CTRL_STS), 0);
	memcpy_fromio(response, page + BUFFER, sizeof(response));
	*code = code_of(response);

	return err;
}

/* The way of a driver: locality, ready, two commands, idle, and back */
static int proper_use(u32 conduit, u32 locality)
{
	static const u8 startup[] = { 0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0 };
	static const u8 get_random[] = { 0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8 };
	static const u8 bad_tag[] = { 0x80, 3, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8 };
	static const u8 too_long[] = { 0x80, 1, 0, 0, 0xf, 0x81, 0, 0, 1, 0x7b, 0, 8 };
	u8 __iomem *page = crb + locality * PAGE;
	u32 code;
	int err;

	/* Whatever has been done to the registers before */
	memset_io(page, 0, PAGE);

	err = expect("request", start(conduit, 1, locality, LOC_CTRL, 1), OK) ?:
	      expect("assigned", ioread32(page + LOC_STATE), 0x83 | locality << 2) ?:
	      expect("not ready", start(conduit, 0, locality, CTRL_START, 1), INV_CRB_DATA);
	iowrite32(0, page + CTRL_START);
	err = err ?:
	      expect("both", start(conduit, 0, locality, CTRL_REQ, 3), INV_CRB_DATA) ?:
	      expect("ready", start(conduit, 0, locality, CTRL_REQ, 1), OK) ?:
	      expect("cmdReady", ioread32(page + CTRL_REQ), 0) ?:
	      command(conduit, locality, startup, sizeof(startup), &code);
	if (err)
		return err;
	if (code && code != 0x100)	/* it had been started before */
		return expect("TPM2_Startup", code, 0);

	err = command(conduit, locality, get_random, sizeof(get_random), &code) ?:
	      expect("TPM2_GetRandom", code, 0) ?:
	      command(conduit, locality, bad_tag, sizeof(bad_tag), &code) ?:
	      expect("tag", code, 0x1e) ?:
	      command(conduit, locality, too_long, sizeof(too_long), &code) ?:
	      expect("size", code, 0x142) ?:
	      expect("idle", start(conduit, 0, locality, CTRL_REQ, 2), OK) ?:
	      expect("goIdle", ioread32(page + CTRL_STS), 2) ?:
	      expect("relinquish", start(conduit, 1, locality, LOC_CTRL, 2), OK) ?:
	      expect("free", ioread32(page + LOC_STATE), 0x81);

	return err;
}

static int each_function(u32 conduit)
{
	static const struct {
		u32 fn, a5, a6, a7, status;
	} tests[] = {
		{ FN_VERSION, 0, 0, 0, OK_RESULTS },
		{ FN_FEATURE, 0xfea70000, 0, 0, NOTSUP },
		{ FN_FEATURE, 1, 0, 0, INVARG },
		{ FN_REGISTER, 0, 0, 0, NOTSUP },
		{ FN_UNREGISTER, 0, 0, 0, NOTSUP },
		{ FN_FINISH, 0, 0, 0, NOTSUP },
		{ FN_MANAGE, 0, 4, 0, DENIED },
		{ 0x0f000601, 0, 0, 0, NOFUNC },
		{ FN_START, 2, 0, 0, INVARG },
		{ FN_START, 0x100, 0, 0, INVARG },
		{ FN_START, 0, 5, 0, INVARG },
		{ FN_START, 0, 0, 1, INVARG },
		{ FN_START, 1, 4, 0, DENIED },
		{ FN_START, 0, 4, 0, DENIED },
		{ FN_START, 0, 0, 0, DENIED },
	};
	u32 version;
	unsigned int n;
	int err;

	for (n = 0; n < ARRAY_SIZE(tests); n++) {
		err = expect("function",
			     proper_call(conduit, tests[n].fn, tests[n].a5,
					 tests[n].a6, tests[n].a7, NULL),
			     tests[n].status);
		if (err) {
			pr_err("that was %#x(%#x, %u, %u)\n", tests[n].fn,
			       tests[n].a5, tests[n].a6, tests[n].a7);
			return err;
		}
	}

	proper_call(conduit, FN_VERSION, 0, 0, 0, &version);

	return expect("version", version, 0x00010000);
}

/* What FF-A does not allow, and the SPMC has to see to */
static int not_of_ffa(void)
{
	struct arm_smccc_1_2_regs in = {
		.a0 = FFA_MSG_SEND_DIRECT_REQ2, .a1 = partition,
		.a2 = 1, .a4 = FN_VERSION,
	}, out;
	int err;

	err = expect("another UUID", call(&in, &out, 0), FFA_INVALID);
	in.a0 = FFA_FN64_MSG_SEND_DIRECT_REQ;
	in.a2 = BIT(31);
	err = err ?: expect("framework", call(&in, &out, 0), FFA_INVALID);
	in = (struct arm_smccc_1_2_regs){ .a0 = FFA_RUN, .a1 = partition << 16 };
	err = err ?: expect("run nothing", call(&in, &out, 0), FFA_NOT_RUN);
	in.a1 |= 1;
	err = err ?: expect("run vCPU 1", call(&in, &out, 0), FFA_INVALID);

	return err;
}

static void scribble(struct rnd_state *state, unsigned int bytes)
{
	while (bytes--)
		iowrite8(prandom_u32_state(state), crb +
			 prandom_u32_state(state) % (LOCALITIES * PAGE));
}

/* A command for the buffer, whose header is at times almost right */
static void random_command(u8 __iomem *page)
{
	u8 header[10];
	unsigned int n;

	put_unaligned_be16(pick(0x8001, 0x8001, 0x8002, 0x00c1, 0), header);
	put_unaligned_be32(pick(0, 9, 10, 12, 27, 64, 0xf7f, 0xf80, 0xf81, 0x1000,
				0x7fffffff, 0xffffffff), header + 2);
	put_unaligned_be32(one_in(4) ? random() : 0x11f + random() % 0x80,
			   header + 6);
	memcpy_toio(page + BUFFER, header, sizeof(header));
	for (n = sizeof(header); n < 64; n++)
		iowrite8(one_in(2) ? 0 : random(), page + BUFFER + n);
}

/* Contents of a CRB that make sense only by chance */
static void random_crb(u32 locality)
{
	u8 __iomem *page = crb + locality * PAGE;
	unsigned int n;

	if (one_in(16)) {
		for (n = 0; n < PAGE; n += 4)
			iowrite32(random(), page + n);
		return;
	}
	if (one_in(16))
		scribble(&rnd, 64);

	iowrite32(pick(0, 1, 2, 4, 3, 8), page + LOC_CTRL);
	iowrite32(pick(0, 0, 1, 1, 2), page + CTRL_REQ);
	iowrite32(pick(0, 1, 1, 1), page + CTRL_START);
	iowrite32(pick(0, 0, 0, 0, 0, 1), page + CTRL_CANCEL);
	/* Size and address of the buffer are not for us to write */
	for (n = 0x58; n < 0x70; n += 4)
		if (one_in(8))
			iowrite32(random(), page + n);
	random_command(page);
}

/* A driver's next step, or one that it would never take then */
static u32 random_step(u32 locality)
{
	u8 __iomem *page = crb + locality * PAGE;

	iowrite32(0, page + CTRL_REQ);
	iowrite32(0, page + CTRL_START);
	iowrite32(one_in(16), page + CTRL_CANCEL);
	switch (random() % 32) {
	case 0:
		iowrite32(2, page + LOC_CTRL);		/* relinquish */
		return 1;
	case 1 ... 4:
		iowrite32(one_in(8) ? 4 : 1, page + LOC_CTRL);
		return 1;
	case 5:
		iowrite32(2, page + CTRL_REQ);		/* goIdle */
		return 0;
	case 6 ... 9:
		iowrite32(1, page + CTRL_REQ);		/* cmdReady */
		return 0;
	default:
		random_command(page);
		iowrite32(1, page + CTRL_START);
		return 0;
	}
}

static u64 random_register(u32 value)
{
	return one_in(32) ? (u64)random() << 32 | value : value;
}

static u32 random_call(void)
{
	struct arm_smccc_1_2_regs in = {
		.a0 = conduits[random() % ARRAY_SIZE(conduits)],
		.a1 = partition,
	}, out;
	u32 locality = pick(0, 0, 0, 1, 2, 3, 4, 5);
	u32 state;

	if (one_in(2)) {
		state = ioread32(crb + LOC_STATE);
		locality = (state >> 2) & 7;
		if (locality >= LOCALITIES || !(state & BIT(1)) || one_in(16))
			locality = random() % 4;
		in.a4 = FN_START;
		in.a5 = random_step(locality);
		in.a6 = locality;
		return call(&in, &out, one_in(64) ? 0 : UINT_MAX);
	}

	random_crb(locality % LOCALITIES);
	if (one_in(32))
		in.a0 = FFA_RUN;
	if (in.a0 == FFA_RUN)
		in.a1 = partition << 16 | (one_in(4) ? random() & 0xff : 0);
	else if (one_in(32))
		in.a1 |= (random() & 0x7fff) << 16;
	if (in.a0 == FFA_MSG_SEND_DIRECT_REQ2 && one_in(2)) {
		in.a2 = UUID_LO;
		in.a3 = UUID_HI;
	}
	if (one_in(32))
		in.a2 = random_register(random());
	if (one_in(32))
		in.a3 = random_register(random());
	in.a4 = random_register(pick(FN_START, FN_START, FN_START, FN_START,
				     FN_START, FN_START, FN_VERSION, FN_FEATURE,
				     FN_REGISTER, FN_UNREGISTER, FN_FINISH,
				     FN_MANAGE));
	in.a5 = random_register(pick(0, 0, 0, 1, 1, 2, 0x100, 0xfea70000));
	in.a6 = random_register(locality);
	in.a7 = random_register(one_in(16) ? random() : 0);
	if (one_in(16))
		in.a8 = random();

	return call(&in, &out, UINT_MAX);
}

/* On another CPU, if there is one: what was checked must not be read again */
static int scribbler(void *data)
{
	struct rnd_state state;

	prandom_seed_state(&state, seed + 1);
	while (!kthread_should_stop()) {
		scribble(&state, 256);
		cond_resched();
	}

	return 0;
}

/* Come back late to a call that is not done, or not before it is dropped */
static void finish(bool too_late)
{
	const struct arm_smccc_1_2_regs in = {
		.a0 = FFA_RUN, .a1 = partition << 16,
	};
	struct arm_smccc_1_2_regs out;

	if (too_late)
		msleep(1500);
	else
		call(&in, &out, UINT_MAX);
}

static void fuzz(void)
{
	static const u32 known[] = {
		OK, OK_RESULTS, NOFUNC, NOTSUP, INVARG, INV_CRB_DATA, DENIED,
		FFA_INVALID, FFA_BUSY, FFA_NOT_RUN, 0,
	};
	u32 count[ARRAY_SIZE(known)] = {}, others = 0;
	struct task_struct *task;
	unsigned int unfinished = 0, i, n;
	u32 status;

	prandom_seed_state(&rnd, seed);
	task = kthread_run(scribbler, NULL, "crb_scribbler");
	for (n = 0; n < calls; n++) {
		/* Calm half of the time: with it, most commands are nonsense */
		if (!IS_ERR(task) && n == calls / 2) {
			kthread_stop(task);
			task = ERR_PTR(-ESRCH);
		}
		status = random_call();
		if (!status)
			unfinished = 1 + random() % 8;
		else if (unfinished && !--unfinished)
			finish(one_in(8));
		for (i = 0; i < ARRAY_SIZE(known) && status != known[i]; i++)
			;
		if (i < ARRAY_SIZE(known))
			count[i]++;
		else if (!others++)
			pr_info("call %u: %#x\n", n, status);
		cond_resched();
	}
	if (!IS_ERR(task))
		kthread_stop(task);

	for (i = 0; i < ARRAY_SIZE(known); i++)
		pr_info("%#x: %u\n", known[i], count[i]);
	pr_info("others: %u\n", others);
}

static int check(void)
{
	unsigned int n;
	u32 locality;
	int err;

	for (n = 0; n < ARRAY_SIZE(conduits); n++) {
		err = each_function(conduits[n]);
		for (locality = 0; !err && locality < 4; locality++)
			err = proper_use(conduits[n], locality);
		if (err) {
			pr_err("conduit %#x\n", conduits[n]);
			return err;
		}
	}

	return not_of_ffa();
}

/* Whatever locality was left active gives way, as it would to a driver of it */
static void relinquish_all(void)
{
	u32 locality;

	for (locality = 0; locality < 4; locality++)
		start(conduits[0], 1, locality, LOC_CTRL, 2);
}

static int crb_fuzz_probe(struct ffa_device *ffa_dev)
{
	int err;

	partition = ffa_dev->vm_id;
	crb = ioremap(base, LOCALITIES * PAGE);
	if (!crb)
		return -ENOMEM;

	err = check();
	if (!err && calls) {
		pr_info("seed %lu, %u calls\n", seed, calls);
		fuzz();
		relinquish_all();
		err = check();
	}
	iounmap(crb);
	pr_info("seed %lu, %u calls: %s\n", seed, calls, err ? "failed" : "fine");

	return err;
}

static const struct ffa_device_id crb_fuzz_ids[] = {
	{ UUID_INIT(0x17b862a4, 0x1806, 0x4faf,
		    0x86, 0xb3, 0x08, 0x9a, 0x58, 0x35, 0x38, 0x61) },
	{}
};

static struct ffa_driver crb_fuzz_driver = {
	.name = "crb_fuzz",
	.probe = crb_fuzz_probe,
	.id_table = crb_fuzz_ids,
};
module_ffa_driver(crb_fuzz_driver);

MODULE_DESCRIPTION("Random calls of the TPM service over FF-A");
MODULE_LICENSE("GPL");
