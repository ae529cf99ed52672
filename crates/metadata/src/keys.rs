//! The keys of the tables: bytes whose order is the order of lists.
