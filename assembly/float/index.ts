// A module of its own on the memory of the first, so that no client downloads it: kernels of the plain engine and, beside
// them, of training.
export * from './conv'
export * from './depthwise'
export * from './elementwise'
export * from './activation'
export * from './planes'
export * from '../gradient'
