"""OHIF beside a demo: its own configuration, in which DICOMweb is on the same origin."""

from __future__ import annotations

from typing import Final

CONFIGURATION_FILE: Final = "app-config.js"
# As in examples/ohif; a test holds the two to each other.
OHIF_CONFIGURATION: Final = """\
window.config = {
  routerBasename: '/',
  extensions: [],
  modes: [],
  showStudyList: true,
  useSharedArrayBuffer: 'FALSE',
  showWarningMessageForCrossOrigin: false,
  investigationalUseDialog: { option: 'never' },
  defaultDataSourceName: 'harmony',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'harmony',
      configuration: {
        friendlyName: 'Harmony',
        name: 'harmony',
        wadoUriRoot: '/dicom-web/wado',
        qidoRoot: '/dicom-web',
        wadoRoot: '/dicom-web',
        qidoSupportsIncludeField: true,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        singlepart: 'bulkdata,video,pdf',
        bulkDataURI: { enabled: true, relativeResolution: 'studies' },
        omitQuotationForMultipartRequest: true,
      },
    },
  ],
};
"""
