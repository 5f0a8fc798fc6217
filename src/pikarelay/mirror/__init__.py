"""
Where copies of results are kept: a folder of this machine, or a bucket that speaks S3.

Floor 3. Knows the ports of services and nothing else of them; what is copied, when, and what is said about it is not
decided here.
"""
