def rbf_gather(*a): raise NotImplementedError
