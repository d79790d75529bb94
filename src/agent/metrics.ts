/** Counters and gauges in Prometheus' text format (0.0.4). */
type Labels = Readonly<Record<string, string>>;

/** Values with their labels. */
export type Readings = readonly (readonly [labels: Labels, value: number])[];

/** Upper bounds in seconds; the last bucket has none. */
const bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

interface Family {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** By their labels, in the text format. */
  readonly series: Map<string, number>;
}

export class Metrics {
  readonly #families = new Map<string, Family>();
  readonly #readings: (() => void)[] = [];

  counter(name: string, help: string): (labels?: Labels, by?: number) => void {
    const { series } = this.#family(name, "counter", help);
    return (labels = {}, by = 1) => add(series, name + textOf(labels), by);
  }

  /** Reads the value at each scrape. **Omits a value that cannot be read**: a scrape must not end the agent. */
  reading(name: string, type: "counter" | "gauge", help: string, read: () => number): void {
    this.readings(name, type, help, () => [[{}, read()]]);
  }

  /** The same for values with labels. */
  readings(name: string, type: "counter" | "gauge", help: string, read: () => Readings): void {
    const { series } = this.#family(name, type, help);
    this.#readings.push(() => {
      series.clear();
      try {
        for (const [labels, value] of read()) series.set(name + textOf(labels), value);
      } catch {
        // For instance without /proc.
      }
    });
  }

  /** Observes durations in seconds. */
  histogram(name: string, help: string): (seconds: number, labels?: Labels) => void {
    const { series } = this.#family(name, "histogram", help);
    return (seconds, labels = {}) => {
      for (const bound of [...bounds, Number.POSITIVE_INFINITY]) {
        const le = bound === Number.POSITIVE_INFINITY ? "+Inf" : String(bound);
        add(series, `${name}_bucket${textOf({ ...labels, le })}`, seconds <= bound ? 1 : 0);
      }
      add(series, `${name}_sum${textOf(labels)}`, seconds);
      add(series, `${name}_count${textOf(labels)}`, 1);
    };
  }

  text(): string {
    for (const read of this.#readings) read();
    return [...this.#families]
      .map(([name, { type, help, series }]) =>
        [
          `# HELP ${name} ${help}`,
          `# TYPE ${name} ${type}`,
          ...[...series].map(([key, value]) => `${key} ${value}`),
          "",
        ].join("\n"),
      )
      .join("");
  }

  #family(name: string, type: Family["type"], help: string): Family {
    const family = { type, help, series: new Map<string, number>() };
    this.#families.set(name, family);
    return family;
  }
}

function add(series: Map<string, number>, key: string, by: number): void {
  series.set(key, (series.get(key) ?? 0) + by);
}

function textOf(labels: Labels): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) =>
      `${name}="${value.replace(/[\\"\n]/g, (character) => (character === "\n" ? "\\n" : `\\${character}`))}"`,
  );
  return pairs.length === 0 ? "" : `{${pairs.join()}}`;
}
