"""The set-valued loss, as a function on tensors and as a module for MMSegmentation."""
