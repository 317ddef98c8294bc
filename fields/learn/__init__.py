"""Networks that read fields: classifiers, part segmentation, and the baselines they are compared with."""
