"""Cases that nobody recorded: other sizes and hyper-parameters, with results of plain implementations of their own.

Every file adds makers. A maker draws sizes, hyper-parameters and inputs from a generator and computes the results with
nothing but numpy, torch and Pillow.
"""
