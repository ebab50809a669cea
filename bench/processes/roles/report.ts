// What a party's process tells whoever started it.
import type { Used } from '../parties.js'
import { partsSoFar } from '../timed.js'

let gcMs = 0

/** Its main thread paused so long. */
export function countGarbage(ms: number): void {
  gcMs += ms
}

export const tell = (message: unknown): void => void process.send!(message)

/** What this process has used so far. */
export function used(): Used {
  const { userCPUTime, systemCPUTime, maxRSS, minorPageFault: pageFaults } = process.resourceUsage()
  const [cpuMs, systemMs] = [(userCPUTime + systemCPUTime) / 1000, systemCPUTime / 1000]
  return { cpuMs, systemMs, gcMs, pageFaults, peakMB: Math.round(maxRSS / 1024), parts: partsSoFar() }
}

export function complain(error: Error): void {
  process.stderr.write(`${error.message}\n`)
}

export const LOCAL = { host: '127.0.0.1', port: 0 }
