"""The audit: which relations of a map the teacher contradicts, from statistics that a labelling run keeps."""
