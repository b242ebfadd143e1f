# SPDX-License-Identifier: GPL-2.0-only
#
# The front door. `make` alone prints what it can do.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# What the root Kconfig asks, answered by `make menuconfig`; all of it without.
-include .config
ifeq ($(wildcard .config),)
CONFIG_TOPIC_OPTEE_KEXEC := y
CONFIG_TOPIC_FFA_IMA := y
CONFIG_TOPIC_CONFIDENTIAL_DEVICES := y
CONFIG_LAB_ARM64 := y
CONFIG_LAB_SMC := y
CONFIG_LAB_FFA := y
CONFIG_LAB_X86_64 := y
endif

empty :=
comma := ,
topics-$(CONFIG_TOPIC_OPTEE_KEXEC) += optee-kexec
topics-$(CONFIG_TOPIC_FFA_IMA) += ffa-ima
topics-$(CONFIG_TOPIC_CONFIDENTIAL_DEVICES) += confidential-devices
TOPICS ?= $(subst $(empty) $(empty),$(comma),$(strip $(topics-y)))

abis-$(CONFIG_LAB_SMC) += smc
abis-$(CONFIG_LAB_FFA) += ffa
abis-$(CONFIG_LAB_X86_64) += x86_64

clone = $(if $(LINUX),--linux '$(LINUX)')

export LC_ALL := C.UTF-8
export V LINUX ONLY ABI ARCH FRAGMENTS TOPICS
export ABIS := $(abis-y)
export DEBUG := $(CONFIG_LAB_DEBUG)

define HELP
tee-linux: mainline Linux with three series for trusted execution environments

Run
  make boot       assemble, build, boot on TF-A and OP-TEE, kexec once, report
  make shell      the booted lab's console, for you   (Ctrl-A X ends it)
  make check      every test, as KTAP                 (ONLY=PATTERN: some of them)
  make compare    the same scenarios on the unpatched base, and the table
  make soak       the tests that take long
  make measure    what confidential devices cost: size of the kernel, with the
                  option off and on; and how much of it the tests execute
  make without    take each fix out, and see its test fail (ONLY=FIX)
  make list       name the tests
Build
  make tree       assemble linux/ from the base and series/
  make kernel     build the kernel of linux/ as it stands
  make topics     integrate, build and test each topic alone
  make bisect     build and boot every commit, its options on and off
  make defconfig menuconfig
                  which topics, architectures and ABIs; see Kconfig
Work on a series
  make export     write the commits of linux/ back to series/
                  (TOPIC=NAME: those made on top of integration)
  make verify     what the check says of series/: round trip, ids, files
  make record     record the assembled ids in series/base
  make send       TOPIC=NAME OUT=DIR: the mails that b4 would send
  make results    write the table of `make compare` into README.md
Clean up
  make clean      remove what was built
  make distclean  remove linux/ too (not the cache in ~/.cache/tee-linux)

Variables: ARCH=arm64|x86_64  ABI=ffa|smc  LINUX=PATH (your clone of
mainline)  FRAGMENTS="FILE..."  ONLY=PATTERN  V=1
endef
export HELP

.PHONY: help
help:
	@printf '%s\n' "$$HELP"

.PHONY: boot check compare soak measure topics bisect without
boot check compare soak measure topics bisect without:
	@exec lab/main.sh $@

.PHONY: shell kernel tree list
shell kernel tree list:
	@exec lab/main.sh $@

.PHONY: export
export:
	@exec series/tree.py export $(clone) $(if $(TOPIC),--topic $(TOPIC))

.PHONY: verify record
verify record:
	@exec series/tree.py $@ $(clone)

.PHONY: send
send:
	@exec series/tree.py send $(clone) '$(TOPIC)' --out '$(OUT)'

.PHONY: results
results:
	@exec lab/table.py build/results --readme README.md

.PHONY: defconfig menuconfig
defconfig menuconfig:
	@exec lab/main.sh $@

.PHONY: clean distclean
clean distclean:
	@exec lab/main.sh $@
