export * from './pack.ts'
export * from './planes.ts'
