"""Instance heads: a few maps beside the logits from which touching nuclei are parted.

`table.HEADS` lists them. A head is one file with its maps: their targets, their losses, and how they are decoded.
"""
