/** The largest number below 2^63 that is one of JavaScript's: what it is written as, Go reads as an int64. */
export const MAX_INT64 = 2 ** 63 - 1024;
