//! L08: what no directive can switch on.
