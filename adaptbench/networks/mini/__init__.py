"""Start weights of the mini encoders, and the program that made them (`pretrain`)."""
