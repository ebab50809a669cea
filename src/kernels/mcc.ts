export type MccExports = {}
