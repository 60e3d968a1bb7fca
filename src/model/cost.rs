//! Mult-Adds, parameters and bytes of every layer, from the shapes alone.
