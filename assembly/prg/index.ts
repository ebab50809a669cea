export * from './chacha.ts'
