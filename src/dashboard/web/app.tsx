import type { FunctionComponent } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { session, startSession } from './api.js';
import { startLive } from './live.js';
import { Compare } from './pages/compare.js';
import { DatasetPage } from './pages/dataset.js';
import { Datasets } from './pages/datasets.js';
import { Errors } from './pages/errors.js';
import { HealthPage } from './pages/health.js';
import { Job } from './pages/job.js';
import { Jobs } from './pages/jobs.js';
import { OverviewPage } from './pages/overview.js';
import { Versus } from './pages/versus.js';
import { Banners } from './parts/banners.js';
import { Header } from './parts/header.js';
import { Empty, Failure, Loading } from './parts/notice.js';
import { address, route } from './router.js';
import type { PageName } from './routes.js';

const pages: Record<PageName, FunctionComponent> = {
  overview: OverviewPage,
  jobs: Jobs,
  job: Job,
  errors: Errors,
  datasets: Datasets,
  dataset: DatasetPage,
  compare: Compare,
  versus: Versus,
  health: HealthPage,
  missing: () => (
    <Empty title="There is no such page">
      <p>
        <a href="./">Go to the overview</a>
      </p>
    </Empty>
  ),
};

export function App() {
  address.use();
  const { page, id } = route();
  const known = session.use();
  const [error, setError] = useState<Error | null>(null);
  const start = () => {
    setError(null);
    startSession().then(startLive, setError);
  };
  useEffect(start, []);
  useEffect(() => {
    document.title = `${titles[page]}${id ? ` ${id}` : ''} · ${known?.queue ?? 'VisionZip'}`;
  }, [page, id, known]);
  const Page = pages[page];
  return (
    <>
      <Header />
      <Banners />
      <main id="main" tabIndex={-1}>
        {error ? (
          <Failure error={error} retry={start} />
        ) : known ? (
          <Page key={`${page} ${id}`} />
        ) : (
          <Loading />
        )}
      </main>
    </>
  );
}

const titles: Record<PageName, string> = {
  overview: 'Overview',
  jobs: 'Jobs',
  job: 'Job',
  errors: 'Errors',
  datasets: 'Datasets',
  dataset: 'Dataset',
  compare: 'Compare',
  versus: 'Side by side',
  health: 'Health',
  missing: 'No such page',
};
