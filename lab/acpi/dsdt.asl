// SPDX-License-Identifier: GPL-2.0-only
//
// The devices of QEMU's arm64 virt machine that an ACPI kernel of the lab uses.
// Made by iasl, with -DTPM on a machine that says it has a TPM.
DefinitionBlock ("", "DSDT", 2, "LAB", "TEELINUX", 1)
{
	Scope (\_SB)
	{
		// The normal world's PL011; the second one is the secure world's.
		Device (COM0)
		{
			Name (_HID, "ARMH0011")
			Name (_UID, Zero)
			Name (_CRS, ResourceTemplate ()
			{
				Memory32Fixed (ReadWrite, 0x09000000, 0x1000)
				Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 33 }
			})
		}

		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A08"))
			Name (_CID, EisaId ("PNP0A03"))
			Name (_SEG, Zero)
			Name (_BBN, Zero)
			Name (_UID, Zero)
			Name (_CCA, One)
			Name (_CRS, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
					0, 0, 0xff, 0, 0x100)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
					NonCacheable, ReadWrite,
					0, 0x10000000, 0x3efeffff, 0, 0x2eff0000)
				DWordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0, 0, 0xffff, 0x3eff0000, 0x10000)
				QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
					NonCacheable, ReadWrite,
					0, 0x8000000000, 0xffffffffff, 0, 0x8000000000)
			})

			// What MCFG says must be nobody else's.
			Device (RES0)
			{
				Name (_HID, EisaId ("PNP0C02"))
				Name (_CRS, ResourceTemplate ()
				{
					QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed,
						NonCacheable, ReadWrite,
						0, 0x4010000000, 0x401fffffff, 0, 0x10000000)
				})
			}
		}

#ifdef TPM
		// Its control area and start method are in the TPM2 table.
		Device (TPM0)
		{
			Name (_HID, "MSFT0101")
			Name (_CID, "MSFT0101")
			Name (_UID, Zero)
			Name (_CRS, ResourceTemplate ()
			{
				Memory32Fixed (ReadWrite, 0x4e000000, 0x5000)
			})
		}
#endif
	}
}
