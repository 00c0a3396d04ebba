"""A stand-in for NVIDIA's pythoncm, which belongs to the simulator and works with nothing else.

It is made from the public facts about pythoncm alone (bcm-facts §7) and shares nothing with the real one but the names
that these show. The simulator copies this directory to where a head node has its pythoncm. What a program may rely on
is what the facts say; everything else here, above all the texts and types of errors, is invented.
"""
