export type RingExports = {}
