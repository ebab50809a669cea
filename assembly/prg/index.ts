export * from './chacha'
