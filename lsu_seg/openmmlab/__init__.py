"""The seam to two generations of OpenMMLab: what they lack, their registries, their Runner and their configs."""
