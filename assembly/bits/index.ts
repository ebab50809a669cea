export * from './pack'
export * from './planes'
