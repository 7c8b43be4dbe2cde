import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import {
  BigValueColorMode,
  BigValueGraphMode,
  ReduceDataOptionsBuilder,
  VizLegendOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common';
import {
  DashboardBuilder,
  type DashboardLink,
  DashboardLinkType,
  type DataSourceRef,
  defaultDashboardLink,
  type GridPos,
  MappingType,
  QueryVariableBuilder,
  RowBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  type ValueMapping,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TimeseriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';
import type { Signal } from './signal';

/** A page of Grafana, made from signals. */
export interface Dashboard {
  /** Stable, because people bookmark it: `mlops-postgres`. */
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly rows: readonly DashboardRow[];
  /**
   * A variable whose values are those of a label, quoted as `$name` in expressions.
   * @default - none
   */
  readonly variables?: readonly DashboardVariable[];
  /**
   * Uid of the data source that its panels ask.
   * @default prometheus
   */
  readonly dataSource?: string;
}

export interface DashboardRow {
  readonly title: string;
  readonly signals: readonly Signal[];
}

export interface DashboardVariable {
  /** `model` makes `$model`. */
  readonly name: string;
  readonly label: string;
  /** The metric whose label values it offers. */
  readonly metric: string;
  /** The label. */
  readonly of: string;
}

/** Uid of Grafana's data source. It is fixed, so that a dashboard works as soon as it is loaded. */
const DATA_SOURCE = 'prometheus';

/** The dashboard that Grafana opens with. */
export const OVERVIEW_UID = 'mlops-overview';

const TAG = 'mlops-platform';

/** Whether Prometheus can fetch the metrics of at least one pod of a system; 0 also when there is no pod. */
export function isUp(system: string, name: string): Signal {
  return {
    name,
    description: `Whether Prometheus reaches ${name}.`,
    unit: 'bool',
    expr: `(max(up{job="${system}"}) or vector(0))`,
    as: 'stat',
  };
}

/** The dashboard as Grafana's own JSON; the same dashboard gives the same bytes. */
export function dashboardJson(dashboard: Dashboard): string {
  const asked = { type: 'prometheus', uid: dashboard.dataSource ?? DATA_SOURCE };
  const builder = new DashboardBuilder(dashboard.title)
    .uid(dashboard.uid)
    .description(dashboard.description)
    .tags([TAG])
    .refresh('30s')
    .time({ from: 'now-6h', to: 'now' })
    .links([toOverview(), toTheOthers()])
    .variables((dashboard.variables ?? []).map((each) => variable(each, asked)));
  const grid = new Grid();
  let id = 0;
  for (const row of dashboard.rows) {
    builder.withRow(new RowBuilder(row.title).id(++id).gridPos(grid.line()));
    for (const { signal, position } of grid.place(row.signals)) {
      builder.withPanel(panel(signal, asked).id(++id).gridPos(position));
    }
  }
  return `${JSON.stringify(builder.build(), null, 2)}\n`;
}

function toOverview(): Builder<DashboardLink> {
  return link({ title: 'Model lifecycle', type: DashboardLinkType.Link, url: `/d/${OVERVIEW_UID}` });
}

function toTheOthers(): Builder<DashboardLink> {
  return link({ title: 'Systems', type: DashboardLinkType.Dashboards, tags: [TAG], asDropdown: true });
}

// Not the SDK's builder: that one hides every link in a menu.
function link(props: Partial<DashboardLink>): Builder<DashboardLink> {
  const { placement: _, ...visible } = defaultDashboardLink();
  return { build: () => ({ ...visible, keepTime: true, ...props }) };
}

function variable(
  { name, label, metric, of }: DashboardVariable,
  dataSource: DataSourceRef,
): QueryVariableBuilder {
  const query = `label_values(${metric}, ${of})`;
  return (
    new QueryVariableBuilder(name)
      .label(label)
      .datasource(dataSource)
      .query({ query, refId: 'A' })
      .definition(query)
      .refresh(VariableRefresh.OnTimeRangeChanged)
      .sort(VariableSort.AlphabeticalAsc)
      .multi(true)
      .includeAll(true)
      // A value that appears later is part of "All" at once.
      .allValue('.*')
      .current({ selected: true, text: ['All'], value: ['$__all'] })
  );
}

function panel(signal: Signal, dataSource: DataSourceRef): StatBuilder | TimeseriesBuilder {
  const query = new DataqueryBuilder()
    .refId('A')
    .datasource(dataSource)
    .expr(signal.expr)
    .legendFormat(signal.by ? signal.by.map((label) => `{{${label}}}`).join(' ') : signal.name);
  const builder = signal.as === 'stat' ? stat(query.instant()) : timeseries(query.range());
  return builder
    .title(signal.name)
    .description(signal.description)
    .datasource(dataSource)
    .unit(signal.unit)
    .mappings(signal.unit === 'bool' ? UP_OR_DOWN : [])
    .thresholds(signal.unit === 'bool' ? redBelowOne() : allGreen());
}

function stat(query: DataqueryBuilder): StatBuilder {
  return new StatBuilder()
    .withTarget(query)
    .reduceOptions(new ReduceDataOptionsBuilder().values(false).calcs(['lastNotNull']))
    .graphMode(BigValueGraphMode.None)
    .colorMode(BigValueColorMode.Value);
}

function timeseries(query: DataqueryBuilder): TimeseriesBuilder {
  return (
    new TimeseriesBuilder()
      .withTarget(query)
      .legend(new VizLegendOptionsBuilder().showLegend(true).calcs(['lastNotNull']))
      // A scale that starts above zero makes noise look like an event.
      .axisSoftMin(0)
      .fillOpacity(10)
  );
}

const UP_OR_DOWN: ValueMapping[] = [
  {
    type: MappingType.ValueToText,
    options: { '0': { text: 'Down', index: 0 }, '1': { text: 'Up', index: 1 } },
  },
];

function redBelowOne(): ThresholdsConfigBuilder {
  return thresholds().steps([
    { value: null, color: 'red' },
    { value: 1, color: 'green' },
  ]);
}

function allGreen(): ThresholdsConfigBuilder {
  return thresholds().steps([{ value: null, color: 'green' }]);
}

function thresholds(): ThresholdsConfigBuilder {
  return new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute);
}

const COLUMNS = 24;
const STAT_HEIGHT = 4;
const TIMESERIES = { w: 12, h: 8 };

/** Places panels from left to right, line by line, as a person reads them. */
class Grid {
  private x = 0;
  private y = 0;
  private height = 0;

  /** A title over the full width. */
  line(): GridPos {
    return this.put(COLUMNS, 1);
  }

  place(signals: readonly Signal[]): { signal: Signal; position: GridPos }[] {
    const stats = signals.filter(({ as }) => as === 'stat').length;
    return signals.map((signal) => ({
      signal,
      position:
        signal.as === 'stat' ? this.put(statWidth(stats), STAT_HEIGHT) : this.put(TIMESERIES.w, TIMESERIES.h),
    }));
  }

  private put(w: number, h: number): GridPos {
    if (this.x + w > COLUMNS || (this.x > 0 && h !== this.height)) {
      this.y += this.height;
      this.x = 0;
    }
    if (this.x === 0) this.height = h;
    const position = { x: this.x, y: this.y, w, h };
    this.x += w;
    return position;
  }
}

/** Up to four panels share a line, or up to six where there are more than four. */
function statWidth(stats: number): number {
  return stats > 4 ? 4 : 6;
}
