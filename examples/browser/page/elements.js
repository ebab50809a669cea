// The page's elements, and how its numbers are written.

export const byId = (id) => document.getElementById(id)

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties)
  made.append(...children)
  return made
}

export const ms = (value) => (value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0))
export const kilobytes = (bytes) => (bytes === 0 ? '–' : (bytes / 1000).toFixed(bytes < 10_000 ? 2 : 1))

export function bytes(value) {
  if (value < 1000) return `${Math.round(value)} B`
  return value < 1e6 ? `${(value / 1e3).toFixed(1)} kB` : `${(value / 1e6).toFixed(2)} MB`
}
