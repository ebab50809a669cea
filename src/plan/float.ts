// The plain engine lives in ../float; this name stays until nobody imports it from here.
export { type OnValue, runFloat } from '../float/run.js'
