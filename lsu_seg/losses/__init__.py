"""The set-valued loss: on tensors, and in MMSegmentation."""
